// SPDX-License-Identifier: MPL-2.0

package workerd

import "strconv"

// Invocation says how to start workerd with descriptors that the parent hands
// over. Nothing in it is secret: it is visible to every user of the machine.
type Invocation struct {
	Binary    string
	ConfigFD  int // the configuration, readable from its start
	ControlFD int // workerd writes one JSON line per listening socket
	Sockets   []string
	SocketFD  int // the first of len(Sockets) consecutive listening sockets
}

// Argv is the command line. The import path "/" lets the configuration embed
// modules by absolute path although it has no directory of its own.
func (i Invocation) Argv() []string {
	argv := []string{i.Binary, "serve", "--import-path=/", "--control-fd=" + strconv.Itoa(i.ControlFD)}
	for n, name := range i.Sockets {
		argv = append(argv, "--socket-fd="+name+"="+strconv.Itoa(i.SocketFD+n))
	}
	return append(argv, "/proc/self/fd/"+strconv.Itoa(i.ConfigFD))
}
