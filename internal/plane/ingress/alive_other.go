// SPDX-License-Identifier: MPL-2.0

//go:build !unix

package ingress

import "net"

// alive cannot look without reading here; the idle timeout has to do.
func alive(net.Conn) bool { return true }
