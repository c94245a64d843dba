// SPDX-License-Identifier: MPL-2.0

// Package agentfiles renders the files that make a machine a Hybridge agent:
// agent.yaml, systemd units, a script that installs them, and a cloud-init document
// that runs it. It is pure: the same input gives the same bytes, in every version of the
// provider, because whoever puts them into a machine's user data would otherwise have
// the machine replaced by an upgrade. Therefore what a format renders MUST NOT change
// any more once it is released; the golden files hold it. What has to change
// becomes a new format.
//
// No file holds a secret: the input has no place for one.
package agentfiles

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Names of the files that Render returns. Socket is there if the machine has an ingress.
const (
	AgentYAML = "agent.yaml"
	Service   = "hybridge-agent.service"
	Socket    = "hybridge-agent.socket"
	Install   = "install.sh"
	CloudInit = "cloud-init.yaml"
)

// maxBytes bounds the cloud-init document: clouds take no more as user data than
// 16 KiB (of EC2; others take more).
const maxBytes = 16 << 10

// Render returns the files by name. input is what HCL's objects, maps, lists, texts,
// numbers and booleans are as map[string]any, []any, string, float64 and bool, with nil for null.
// Errors name the attribute, e.g. `connectors["paris-1"].tunnel_id`; there may be several, joined.
func Render(input any) (map[string]string, error) {
	d := &decoder{}
	root := d.root(input)
	if len(d.errs) > 0 {
		return nil, errors.Join(d.errs...)
	}
	switch format := root.whole("format", 0); {
	case len(d.errs) > 0:
	case format != 1:
		d.bad("format", "%d is unknown: this version of the provider renders format 1", format)
	default:
		in := root.input1()
		in.check(d)
		if len(d.errs) == 0 {
			return in.render()
		}
	}
	slices.SortStableFunc(d.errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return nil, errors.Join(d.errs...)
}

func (in *input1) render() (map[string]string, error) {
	files := map[string]string{AgentYAML: in.agentYAML(), Service: in.service()}
	if in.ingress != nil {
		files[Socket] = in.socket()
	}
	files[Install] = in.install(files)
	files[CloudInit] = cloudInit(files[Install])
	if n := len(files[CloudInit]); n > maxBytes {
		return nil, fmt.Errorf("the cloud-init document would have %d bytes, and clouds take %d: divide the host names among several machines", n, maxBytes)
	}
	return files, nil
}

// sorted returns a map's keys in their order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// fill replaces @NAME@ markers of a text. The text MUST have each of them.
func fill(text string, values map[string]string) string {
	var pairs []string
	for _, name := range sorted(values) {
		pairs = append(pairs, "@"+name+"@", values[name])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
