package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is one line of go test -json; see `go doc test2json` and, for the
// build events, `go help buildjson`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string

	Key, Value string // of an attribute
}

// name of a test, or of a package when the event is about a whole package.
type name struct{ pkg, test string }

// report turns the events into what a person reads.
type report struct {
	out     io.Writer
	pending map[name][]string // output of what has no verdict yet
	broken  map[string]bool   // packages of which a test failed

	passed, failed, skipped     int
	failures, leftOut, skipping []string
	figures                     []string
}

func newReport(out io.Writer) *report {
	return &report{out: out, pending: map[name][]string{}, broken: map[string]bool{}}
}

// leaveOut notes a part that was not tested, once however many tests miss it.
func (r *report) leaveOut(part string) {
	if !slices.Contains(r.leftOut, part) {
		r.leftOut = append(r.leftOut, part)
	}
}

// read takes events until the end of in. What is not an event is shown as it is.
func (r *report) read(in *bufio.Reader) error {
	for {
		line, err := in.ReadBytes('\n')
		var ev event
		switch {
		case len(line) == 0:
		case json.Unmarshal(line, &ev) != nil || ev.Action == "":
			r.print(string(line))
		default:
			r.add(ev)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) add(ev event) {
	who := name{ev.Package, ev.Test}
	switch ev.Action {
	case "build-output":
		r.print(ev.Output)
	case "output":
		r.pending[who] = append(r.pending[who], ev.Output)
	case "attr":
		// Once, however many tests come to the same.
		if line := ev.Key + ": " + ev.Value; ev.Key == "figures" && !slices.Contains(r.figures, line) {
			r.figures = append(r.figures, line)
		}
	case "pass", "fail", "skip":
		if ev.Test == "" {
			r.endPackage(ev.Package, ev.Action == "fail")
		} else {
			r.endTest(who, ev.Action)
		}
		delete(r.pending, who)
	}
}

func (r *report) endTest(who name, verdict string) {
	switch verdict {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.broken[who.pkg] = true
		r.failures = append(r.failures, who.pkg+" "+who.test)
		r.print(r.pending[who]...)
	case "skip":
		r.skipped++
		reason := skipReason(r.pending[who])
		if part, ok := strings.CutPrefix(reason, "left out: "); ok {
			r.leaveOut(part)
		} else {
			r.skipping = append(r.skipping, fmt.Sprintf("%s %s (%s)", who.pkg, who.test, reason))
		}
	}
}

// skipReason finds what the test gave to t.Skip, which go test prints after
// the place of the call.
func skipReason(said []string) string {
	for _, line := range said {
		if _, reason, ok := strings.Cut(line, ".go:"); ok {
			_, reason, _ = strings.Cut(reason, ": ")
			return strings.TrimSpace(reason)
		}
	}
	return "no reason given"
}

// endPackage prints the line with which go test closes a package, and all the
// package said if it failed. A package can fail with no failed test to count:
// it does not build, or a test ends the process or runs out of time.
func (r *report) endPackage(pkg string, failed bool) {
	if failed {
		for _, who := range r.unfinished(pkg) {
			r.print(r.pending[who]...)
			fmt.Fprintln(r.out, "unfinished:", who.pkg, who.test)
			delete(r.pending, who)
		}
		if !r.broken[pkg] {
			r.failed++
			r.failures = append(r.failures, pkg)
		}
	}
	for _, line := range r.pending[name{pkg: pkg}] {
		if failed || strings.HasPrefix(line, "ok ") {
			r.print(line)
		}
	}
}

// unfinished are the tests of a package that began and got no verdict.
func (r *report) unfinished(pkg string) []name {
	var tests []name
	for who := range r.pending {
		if who.pkg == pkg && who.test != "" {
			tests = append(tests, who)
		}
	}
	slices.SortFunc(tests, func(a, b name) int { return strings.Compare(a.test, b.test) })
	return tests
}

// print leaves out the marks of -v, which no reader asked for.
func (r *report) print(said ...string) {
	for _, line := range said {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(r.out, line)
		}
	}
}

// close prints the closing list and says whether the run was good.
func (r *report) close(complete bool) bool {
	fmt.Fprintln(r.out)
	for _, line := range r.figures {
		fmt.Fprintln(r.out, line)
	}
	for _, test := range r.failures {
		fmt.Fprintln(r.out, "failed:", test)
	}
	for _, test := range r.skipping {
		fmt.Fprintln(r.out, "skipped:", test)
	}
	for _, part := range r.leftOut {
		fmt.Fprintln(r.out, "left out:", part)
	}
	incomplete := complete && len(r.leftOut) > 0
	if incomplete {
		fmt.Fprintln(r.out, "MCP_GATEWAY_TEST_COMPLETE=1 asks for every part, so this run fails")
	}
	if len(r.leftOut)+len(r.skipping) == 0 {
		fmt.Fprintln(r.out, "left out: nothing")
	}
	if r.passed+r.failed == 0 {
		fmt.Fprintln(r.out, "no test ran, so this run fails")
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return r.failed == 0 && r.passed > 0 && !incomplete
}
