//go:build unix

package app

import (
	"syscall"
	"time"
)

// cpuTime is what this process has spent of the processors. A busy machine
// changes it far less than the time on the clock.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
