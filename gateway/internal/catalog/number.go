package catalog

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

const (
	// maxLiteral and maxExponent bound a number as it is written, and so the
	// work that one call can cause.
	maxLiteral  = 1000
	maxExponent = 1000
	// roundedDigits is how many significant digits a quotient has that has no
	// end: those of IEEE 754 decimal128.
	roundedDigits = 34
)

// parseNumber reads a JSON number exactly. problem says what is wrong with the
// value, to stand behind the argument's name.
func parseNumber(value json.RawMessage) (number *big.Rat, problem string) {
	if t := jsonType(value); t != "a number" {
		return nil, "must be a number, not " + t
	}
	if len(value) > maxLiteral {
		return nil, fmt.Sprintf("is longer than %d characters", maxLiteral)
	}
	literal := string(value)
	if _, exponent, ok := strings.Cut(strings.ToLower(literal), "e"); ok {
		if e, err := strconv.Atoi(exponent); err != nil || e < -maxExponent || e > maxExponent {
			return nil, fmt.Sprintf("has an exponent beyond %d", maxExponent)
		}
	}
	number, ok := new(big.Rat).SetString(literal)
	if !ok {
		return nil, "must be a number"
	}
	return number, ""
}

// formatNumber writes r as a JSON number: exactly if it has an end, else with
// roundedDigits significant digits.
func formatNumber(r *big.Rat) (text string, rounded bool) {
	if digits, exact := r.FloatPrec(); exact {
		return r.FloatString(digits), false
	}
	e := magnitude(r)
	if -7 <= e && e < roundedDigits {
		return r.FloatString(roundedDigits - 1 - e), true
	}
	// Written in full it would show digits that were never computed.
	mantissa := new(big.Rat).Mul(r, powerOfTen(-e))
	return fmt.Sprintf("%se%+d", mantissa.FloatString(roundedDigits-1), e), true
}

// magnitude returns e such that 10^e <= |r| < 10^(e+1). r is not zero.
func magnitude(r *big.Rat) int {
	abs := new(big.Rat).Abs(r)
	e := len(abs.Num().String()) - len(abs.Denom().String())
	if abs.Cmp(powerOfTen(e)) < 0 {
		e--
	}
	return e
}

func powerOfTen(e int) *big.Rat {
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(e, -e))), nil)
	r := new(big.Rat).SetInt(power)
	if e < 0 {
		r.Inv(r)
	}
	return r
}
