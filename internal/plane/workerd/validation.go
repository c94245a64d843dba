// SPDX-License-Identifier: MPL-2.0

package workerd

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

//go:embed probe.js
var probeSource string

// probeModule imports the version's main module; its name must not be one that
// an upload would choose.
const probeModule = "__hybridge_probe__.js"

// secretPlaceholder is what a validating process sees in place of every secret.
const secretPlaceholder = "placeholder"

// ValidatingProcess starts a version to see whether it starts and what it
// exports. It has no secrets, no network and no other Workers.
type ValidatingProcess struct {
	Version      Version
	HeapLimitMiB int
}

// Sockets are the names of the sockets that the process must be given.
func (p ValidatingProcess) Sockets() []string { return []string{MainSocket} }

// Config is the process' configuration in Cap'n Proto text. It carries no secrets.
func (p ValidatingProcess) Config() ([]byte, error) {
	if len(p.Version.Modules) == 0 {
		return nil, errNoModules
	}
	c := newConfig(p.HeapLimitMiB)
	modules, err := modulesOf(p.Version)
	if err != nil {
		return nil, err
	}
	if p.probes() {
		main, err := json.Marshal("./" + p.Version.MainModule)
		if err != nil {
			return nil, err
		}
		source := strings.Replace(probeSource, "__MAIN__", string(main), 1)
		modules = slices.Insert(modules, 0, "(name = "+quote(probeModule)+", esModule = "+quote(source)+")")
	}
	var bindings []string
	for _, b := range p.Version.Bindings {
		value := `service = "nowhere"`
		switch b.Type {
		case "service", "vpc_service":
		case "secret_text":
			value = "text = " + quote(secretPlaceholder)
		default:
			if value, err = bindingValue(p.Version, b); err != nil {
				return nil, err
			}
		}
		bindings = append(bindings, "(name = "+quote(b.Name)+", "+value+")")
	}
	c.service("main", worker(p.Version, modules, bindings, "nowhere"))
	c.service("nowhere", "network = (allow = [])")
	c.service("health", "network = (allow = [])")
	c.socket(MainSocket, "", `"main"`)
	return c.bytes(), nil
}

// probes says whether the main module can be imported: a script in service worker
// syntax cannot, and Python is not importable from JavaScript.
func (p ValidatingProcess) probes() bool {
	for _, m := range p.Version.Modules {
		if m.Name == p.Version.MainModule {
			return m.Type == ESModule
		}
	}
	return false
}

// Exports reads the probe's answer, nil where the process has no probe.
func (p ValidatingProcess) Exports(answer []byte, startup time.Duration) (Validation, error) {
	v := Validation{Entrypoints: []string{}, StartupTime: startup}
	if !p.probes() {
		v.Handlers = []string{"fetch"}
		return v, nil
	}
	var found map[string]struct {
		Kind     string   `json:"kind"`
		Handlers []string `json:"handlers"`
	}
	if err := json.Unmarshal(answer, &found); err != nil {
		return Validation{}, fmt.Errorf("reading the exports of version %s: %w", p.Version.ID, err)
	}
	for name, e := range found {
		switch {
		case name == "default":
			v.Handlers = e.Handlers
			if e.Kind == "entrypoint" && len(e.Handlers) == 0 {
				v.Handlers = []string{"class"} // reachable by RPC alone
			}
			continue
		case e.Kind == "object" && len(e.Handlers) > 0:
			v.Entrypoints = append(v.Entrypoints, name)
		case e.Kind == "entrypoint":
			v.Entrypoints = append(v.Entrypoints, name)
			e.Handlers = []string{"class"}
		case e.Kind == "durable_object" || e.Kind == "workflow" || e.Kind == "class":
			e.Handlers = []string{"class"}
		default:
			continue
		}
		if v.NamedHandlers == nil {
			v.NamedHandlers = map[string][]string{}
		}
		v.NamedHandlers[name] = e.Handlers
	}
	sort.Strings(v.Entrypoints)
	if len(v.Handlers) == 0 && len(v.NamedHandlers) == 0 {
		return Validation{}, &InvalidVersionError{
			Code:    CodeNoHandlers,
			Message: "The uploaded script has no registered event handlers.",
		}
	}
	return v, nil
}
