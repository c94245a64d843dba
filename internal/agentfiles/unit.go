// SPDX-License-Identifier: MPL-2.0

package agentfiles

import (
	_ "embed" // the texts of a format are files
	"net"
	"strconv"
	"strings"
)

//go:embed format1/agent.service
var serviceText string

// service writes the unit of the agent.
func (in *input1) service() string {
	var socket, load, memory string
	if in.ingress != nil {
		socket = "Requires=" + Socket + "\nAfter=" + Socket + "\n"
	}
	if in.fromSOPS() {
		load = "LoadCredential=" + identity + ":" + identityFile + "\n"
	}
	if in.unit.load != loadFiles {
		for _, name := range in.secrets() {
			load += in.loadDirective() + "=" + name + ":" + in.store() + "/" + name + "\n"
		}
	}
	if in.unit.memoryMax != "" {
		memory = "MemoryMax=" + in.unit.memoryMax + "\n"
	}
	capability := ""
	if in.lowPort() {
		capability = "CAP_NET_BIND_SERVICE"
	}
	return fill(serviceText, map[string]string{
		"HEADER": header, "SOCKET": socket, "PROGRAM": in.program("hybridge"), "CONFIG": configDir + "/" + AgentYAML,
		"LOAD": load, "MEMORY": memory, "CAPABILITY": capability,
	})
}

func (in *input1) loadDirective() string {
	if in.unit.load == loadPlain {
		return "LoadCredential"
	}
	return "LoadCredentialEncrypted"
}

// store is the directory where systemd, or the agent, finds secrets.
func (in *input1) store() string {
	switch in.unit.load {
	case loadPlain:
		return "/etc/credstore"
	case loadFiles:
		return secretsDir
	default:
		return "/etc/credstore.encrypted"
	}
}

// lowPort reports whether the agent itself opens a port that takes a privilege. Those of the ingress
// are systemd's.
func (in *input1) lowPort() bool {
	addresses := []string{in.health}
	if in.plane != nil {
		addresses = append(addresses, in.plane.listen)
	}
	for _, address := range addresses {
		if _, port, err := net.SplitHostPort(address); err == nil && !isUnix(address) {
			if n, err := strconv.Atoi(port); err == nil && n < 1024 {
				return true
			}
		}
	}
	return false
}

// socket writes the unit that holds the ingress's ports open while the agent restarts.
func (in *input1) socket() string {
	var b strings.Builder
	b.WriteString(header)
	b.WriteString("[Unit]\nDescription=Ports of the Hybridge agent's ingress\n\n[Socket]\n")
	for _, l := range in.ingress.listen {
		address := l.address
		if host, port, err := net.SplitHostPort(address); err == nil && host == "" {
			address = port
		}
		b.WriteString("ListenStream=" + address + "\n")
	}
	b.WriteString("Service=" + Service + "\nBacklog=4096\nNoDelay=yes\n\n[Install]\nWantedBy=sockets.target\n")
	return b.String()
}
