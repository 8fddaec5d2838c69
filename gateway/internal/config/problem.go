package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Problem is one mistake and what to do about it. It never holds the value of
// a setting that is secret, nor one that stands next to a secret and could
// have been swapped with it.
type Problem struct {
	// File is the name of the file, or "environment".
	File string
	// Line in File, from 1; 0 if the mistake has no line, such as a key that
	// is missing.
	Line int
	// Key is the setting as it is written there.
	Key string
	// Message says what is wrong.
	Message string
	// Remedy says what to do.
	Remedy string
}

// String is the place, the key and the message, and the remedy on a second
// line.
func (p Problem) String() string {
	var b strings.Builder
	for _, part := range []string{p.place(), p.Key} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(p.Message)
	if p.Remedy != "" {
		b.WriteString("\n    " + p.Remedy)
	}
	return b.String()
}

func (p Problem) place() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Problems are all mistakes of one configuration. It is the error of Load and
// ParseEnvFile.
type Problems []Problem

// Error lists the problems, one after the other.
func (ps Problems) Error() string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.String()
	}
	return strings.Join(texts, "\n")
}

// sorted puts the problems of a file in the order of its lines, those without
// a line and those of the environment last.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Compare(a.Line, b.Line)
	})
	return ps
}

// refusal is what is wrong with a value, before it is known where it stands.
type refusal struct{ message, remedy string }

// Nearest returns the word that was likely meant, or "" if none is near.
func Nearest(typed string, words []string) string {
	typed = strings.ReplaceAll(strings.ToLower(typed), "-", "_")
	best, bestDistance := "", max(1, len(typed)/3)+1
	for _, word := range words {
		if d := distance(typed, strings.ReplaceAll(word, "-", "_")); d < bestDistance {
			best, bestDistance = word, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace, and the
// neighbours to swap, to get from a to b (optimal string alignment).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
