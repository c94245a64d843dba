// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"cmp"
	"slices"
)

// entry is a Route as the router keeps it. It is immutable.
type entry struct {
	Route
	seq uint64
}

// table is an immutable snapshot of all routes.
type table struct {
	workers  map[string]*entry // by Worker id
	hosts    map[string]*entry // by normalised host
	previews map[string]*entry // by preview suffix
}

func newEntry(r Route, seq uint64) *entry {
	r.Hosts = slices.Clone(r.Hosts)
	r.Shares = slices.Clone(r.Shares)
	return &entry{Route: r, seq: seq}
}

func buildTable(routes map[string]*entry, aliases map[string]string) *table {
	entries := make([]*entry, 0, len(routes))
	for _, e := range routes {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	t := &table{
		workers:  make(map[string]*entry, len(entries)),
		hosts:    make(map[string]*entry, len(entries)),
		previews: make(map[string]*entry, len(entries)),
	}
	for _, e := range entries { // in the order of Set: the last one wins a host
		t.workers[e.WorkerID] = e
		for _, h := range e.Hosts {
			t.hosts[normaliseHost(h)] = e
		}
		if e.PreviewSuffix != "" {
			t.previews[normaliseHost(e.PreviewSuffix)] = e
		}
	}
	for _, e := range entries {
		for host, worker := range aliases {
			if e.WorkerName == worker {
				t.hosts[host] = e
			}
		}
	}
	return t
}

// lookup finds the Worker that answers at host (normalised). prefix is the
// first 8 hex digits of a version's id if host is a preview host, else empty.
func (t *table) lookup(host string) (e *entry, prefix string) {
	if e = t.hosts[host]; e != nil {
		return e, ""
	}
	if prefix, suffix, ok := splitPreviewHost(host); ok {
		return t.previews[suffix], prefix
	}
	return nil, ""
}
