//go:build !linux

package cluster

import "syscall"

// childAttributes cannot bind a child's life to ours here: a SIGKILL of this process leaves the brokers running.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
