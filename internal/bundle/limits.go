// SPDX-License-Identifier: MPL-2.0

package bundle

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"sort"
)

// The largest version that a paid Cloudflare account accepts. A self-hosted
// plane could take more, but a Worker that only fits there could never move to
// the edge. Source maps do not count: the runtime does not load them.
const (
	maxCompressed   = 10 << 20
	maxUncompressed = 64 << 20
)

// biggestShown is how many modules a TooLargeError names.
const biggestShown = 5

// checkLimits fails with a *TooLargeError if the modules are over a limit.
// Compressing is skipped where it cannot matter.
func checkLimits(ctx context.Context, modules []Module) error {
	var counted []Module
	for _, m := range modules {
		if m.ContentType != typeSourceMap {
			counted = append(counted, m)
		}
	}
	raw := sizeOf(counted)
	if raw > maxUncompressed {
		return tooLarge("uncompressed", raw, maxUncompressed, counted)
	}
	// Deflate never adds more than a few bytes per 16 KiB, and no upload is
	// refused for these.
	if raw <= maxCompressed {
		return nil
	}
	var size counter
	z := gzip.NewWriter(&size)
	for _, m := range counted {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := m.Open()
		if err != nil {
			return err
		}
		_, err = io.Copy(z, r)
		r.Close()
		if err != nil {
			return fmt.Errorf("compressing module %s: %w", m.Name, err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("compressing the modules: %w", err)
	}
	if int64(size) > maxCompressed {
		return tooLarge("gzip-compressed", int64(size), maxCompressed, counted)
	}
	return nil
}

func tooLarge(what string, size, limit int64, modules []Module) error {
	e := &TooLargeError{What: what, Size: size, Limit: limit}
	for _, m := range modules {
		e.Biggest = append(e.Biggest, ModuleSize{Name: m.Name, Size: m.Size})
	}
	sort.SliceStable(e.Biggest, func(i, j int) bool { return e.Biggest[i].Size > e.Biggest[j].Size })
	e.Biggest = e.Biggest[:min(biggestShown, len(e.Biggest))]
	return e
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
