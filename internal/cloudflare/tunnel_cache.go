// SPDX-License-Identifier: MPL-2.0

package cloudflare

import "sync"

// tunnelCache is what one Client remembers of tunnels for its phase.
type tunnelCache struct {
	mu      sync.Mutex
	asked   int
	lists   map[string]*call[map[string]Tunnel]
	written map[string]bool // always asked for
}

func newTunnelCache() *tunnelCache {
	return &tunnelCache{lists: map[string]*call[map[string]Tunnel]{}, written: map[string]bool{}}
}

// wrote notes that this process changes a tunnel.
func (k *tunnelCache) wrote(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.written[id] = true
}

// single reports whether a tunnel is to be asked for by itself.
func (k *tunnelCache) single(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.written[id] {
		return true
	}
	if len(k.lists) == 0 && k.asked < listAfter {
		k.asked++
		return true
	}
	return false
}
