// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/dunglas/httpsfv"
)

// The request headers that choose a version, as Cloudflare names them.
// https://developers.cloudflare.com/workers/configuration/versions-and-deployments/
const (
	versionKeyHeader       = "Cloudflare-Workers-Version-Key"
	versionOverridesHeader = "Cloudflare-Workers-Version-Overrides"
)

// pick chooses a version: an override first, then the affinity key, then
// chance. It returns nil if nothing is deployed. marked says that an override
// decided.
func (e *entry) pick(h http.Header) (t *Target, marked bool) {
	if len(e.Shares) == 0 {
		return nil, false
	}
	if values := h[versionOverridesHeader]; len(values) > 0 {
		if t := e.overridden(values); t != nil {
			return t, true
		}
	}
	if len(e.Shares) == 1 {
		return e.Shares[0].Target, false
	}
	if keys := h[versionKeyHeader]; len(keys) > 0 && keys[0] != "" {
		return e.at(keyPosition(e.WorkerID, keys[0])), false
	}
	return e.at(rand.Float64() * 100), false
}

// at returns the version that owns position x of [0,100). The newest owns the
// lowest part.
func (e *entry) at(x float64) *Target {
	var end float64
	last := e.Shares[0].Target
	for _, s := range e.Shares {
		if s.Percentage <= 0 {
			continue
		}
		last = s.Target
		if end += s.Percentage; x < end {
			return s.Target
		}
	}
	return last // percentages that sum to a little less than 100
}

// overridden returns the deployed version that a Version-Overrides header
// names, else nil. As on Cloudflare, a header that is no dictionary, a value
// that is no string, and a version outside the deployment are ignored.
func (e *entry) overridden(values []string) *Target {
	dict, err := httpsfv.UnmarshalDictionary(values)
	if err != nil {
		return nil
	}
	member, ok := dict.Get(e.WorkerName)
	if !ok {
		return nil
	}
	item, ok := member.(httpsfv.Item)
	if !ok {
		return nil
	}
	id, ok := item.Value.(string)
	if !ok {
		return nil
	}
	for _, s := range e.Shares {
		if strings.EqualFold(s.Target.versionID, id) {
			return s.Target
		}
	}
	return nil
}

// previewed returns the deployed version whose id starts with prefix, else nil.
func (e *entry) previewed(prefix string) *Target {
	for _, s := range e.Shares {
		if id := s.Target.versionID; len(id) >= len(prefix) && strings.EqualFold(id[:len(prefix)], prefix) {
			return s.Target
		}
	}
	return nil
}

// keyPosition spreads affinity keys evenly over [0,100). It is a fixed function
// of the Worker and the key: the same on every machine and after every restart.
func keyPosition(workerID, key string) float64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a, 64 bit
	h := uint64(offset)
	for i := range len(workerID) {
		h = (h ^ uint64(workerID[i])) * prime
	}
	h *= prime // separates the two strings
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * prime
	}
	// FNV leaves the high bits of short keys close together: finish as murmur3 does.
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return float64(h>>11) / (1 << 53) * 100
}
