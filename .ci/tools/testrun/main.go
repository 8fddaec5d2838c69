// Command testrun is what `make test` runs: go test over every module of the
// workspace, printed as go test prints it, and then one closing list of what
// did not run and why.
//
// It owns two promises. Nothing is left out silently: a skipped test, or a
// race detector that this machine cannot build, stands in the closing list.
// And with MCP_GATEWAY_TEST_COMPLETE=1, as CI sets it, a missing part is a
// failure: a test that needs something the machine may lack says
// t.Skip("left out: PART (WHY)"). A skip in other words is listed but never fails.
// What a test has counted stands there too, if it says t.Attr("figures", LINE).
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() {
	complete := os.Getenv("MCP_GATEWAY_TEST_COMPLETE") == "1"
	ok, err := run(os.Args[1:], complete, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run hands args, flags and packages, to go test.
func run(args []string, complete bool, stdout, stderr io.Writer) (ok bool, err error) {
	flags := []string{"test", "-json", "-shuffle=on"}
	rep := newReport(stdout)
	if why := raceUnavailable(); why == "" {
		flags = append(flags, "-race")
	} else {
		rep.leaveOut("race detector (" + why + ")")
	}

	cmd := exec.Command("go", append(flags, args...)...)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, fmt.Errorf("connect to go test: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("start go test: %w", err)
	}
	readErr := rep.read(bufio.NewReader(out))
	waitErr := cmd.Wait()
	if readErr != nil {
		return false, fmt.Errorf("read what go test printed: %w", readErr)
	}
	// go test's own verdict counts too: it also fails for reasons that belong
	// to no package, such as a flag it does not know.
	return rep.close(complete) && waitErr == nil, nil
}

// raceUnavailable says why -race cannot be used here, or nothing. Building
// runtime/cgo with -race needs all that -race itself needs: a platform that
// has it, cgo switched on, and a C compiler that works.
func raceUnavailable() string {
	out, err := exec.Command("go", "build", "-race", "runtime/cgo").CombinedOutput()
	if err == nil {
		return ""
	}
	cc, _ := exec.Command("go", "env", "CC").Output()
	if name, _, _ := strings.Cut(strings.TrimSpace(string(cc)), " "); name != "" {
		if _, err := exec.LookPath(name); err != nil {
			return "no C compiler"
		}
	}
	why, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return why
}
