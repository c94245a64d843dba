// SPDX-License-Identifier: MPL-2.0

package workerd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The headers by which whoever passes a request to a process tells it what the
// request line cannot. They MUST be stripped from what a client sends.
const (
	// ProtoHeader carries the scheme of the client's request, "http" or "https".
	ProtoHeader = "X-Hybridge-Proto"
	// CFHeader carries request.cf as JSON.
	CFHeader = "X-Hybridge-Cf"
)

// RPCHost is the authority of a CONNECT request that opens a Cap'n Proto
// connection, by which JavaScript RPC travels. Only the sockets for service
// bindings know it; the one for clients does not.
const RPCHost = "rpc.hybridge.invalid:1"

// DefaultHeapLimitMiB bounds each isolate's JavaScript heap. Cloudflare gives an
// isolate 128 MiB, but spreads a Worker over many; here one isolate takes all of
// a version's traffic.
const DefaultHeapLimitMiB = 256

// oldestCompatibilityDate is what an upload without a date means on Cloudflare.
const oldestCompatibilityDate = "2021-11-02"

// The sockets of a process. Main takes clients' requests, Health answers while
// the event loop turns, RPC and one socket per named entry point take requests of
// service bindings.
const (
	MainSocket   = "main"
	HealthSocket = "health"
	RPCSocket    = "rpc"
)

// healthScript answers the watchdog, and stands in for the Cache API, which on a
// workers.dev host has no effect either: nothing is ever found or kept.
const healthScript = `export default {
  async fetch(request) {
    if (request.method === "PUT") {
      await request.body?.pipeTo(new WritableStream());
      return new Response(null, { status: 204 });
    }
    if (request.method === "PURGE") return new Response(null, { status: 404 });
    if (request.headers.get("cache-control") === "only-if-cached") return new Response(null, { status: 504 });
    return new Response(null, { status: 204 });
  },
};
`

// Process is one workerd process that runs one version, as a value.
type Process struct {
	Version Version
	// Entrypoints are the named exports that service bindings can address.
	Entrypoints []string
	// Egress is where the version's fetch() and connect() may go.
	Egress Egress
	// HeapLimitMiB bounds each isolate's heap; 0 is DefaultHeapLimitMiB.
	HeapLimitMiB int
	// ServiceSocket returns the path of the unix socket behind which the named
	// entry point ("" is the default one) of another Worker answers.
	ServiceSocket func(service, entrypoint string) (string, error)
	// VPCSocket returns the path of the one behind which a VPC service answers.
	VPCSocket func(serviceID string) (string, error)
}

// EntrypointSocket names the socket of the i-th named entry point.
func EntrypointSocket(i int) string { return "entrypoint" + strconv.Itoa(i) }

// Sockets are the names of the sockets that the process must be given.
func (p Process) Sockets() []string {
	names := []string{MainSocket, HealthSocket, RPCSocket}
	for i := range p.Entrypoints {
		names = append(names, EntrypointSocket(i))
	}
	return names
}

// Config is the process' configuration in Cap'n Proto text. It carries secrets in
// the clear: it MUST NOT be logged or reach a disk. Modules are embedded by
// path, so the text stays small; workerd must be started by Argv to find them.
func (p Process) Config() ([]byte, error) {
	c := newConfig(p.HeapLimitMiB)
	bindings, err := p.bindings(c)
	if err != nil {
		return nil, err
	}
	modules, err := modulesOf(p.Version)
	if err != nil {
		return nil, err
	}
	c.service("main", worker(p.Version, modules, bindings, "internet"))
	c.service("health", `worker = (modules = [(name = "health.js", esModule = `+quote(healthScript)+`)], compatibilityDate = "2025-01-01")`)
	allow, deny := p.Egress.rules()
	c.service("internet", "network = (allow = "+textList(allow)+", deny = "+textList(deny)+", tlsOptions = (trustBrowserCas = true))")

	forwarded := "forwardedProtoHeader = " + quote(ProtoHeader) + ", cfBlobHeader = " + quote(CFHeader)
	rpc := forwarded + ", capnpConnectHost = " + quote(RPCHost)
	c.socket(MainSocket, forwarded, `"main"`)
	c.socket(HealthSocket, "", `"health"`)
	c.socket(RPCSocket, rpc, `"main"`)
	for i, name := range p.Entrypoints {
		c.socket(EntrypointSocket(i), rpc, `(name = "main", entrypoint = `+quote(name)+`)`)
	}
	return c.bytes(), nil
}

func (p Process) bindings(c *config) ([]string, error) {
	var out []string
	for _, b := range p.Version.Bindings {
		if b.Type == "service" {
			service, entrypoint, err := ServiceTarget(b)
			if err != nil {
				return nil, err
			}
			path, err := p.ServiceSocket(service, entrypoint)
			if err != nil {
				return nil, fmt.Errorf("binding %q: %w", b.Name, err)
			}
			name := "binding:" + b.Name
			c.service(name, "external = (address = "+quote("unix:"+path)+", http = (forwardedProtoHeader = "+quote(ProtoHeader)+
				", cfBlobHeader = "+quote(CFHeader)+", capnpConnectHost = "+quote(RPCHost)+"))")
			out = append(out, "(name = "+quote(b.Name)+", service = "+quote(name)+")")
			continue
		}
		if b.Type == "vpc_service" {
			var id string
			if err := field(b, "service_id", &id); err != nil {
				return nil, err
			}
			path, err := p.VPCSocket(id)
			if err != nil {
				return nil, fmt.Errorf("binding %q: %w", b.Name, err)
			}
			name := "binding:" + b.Name
			c.service(name, "external = (address = "+quote("unix:"+path)+", http = (forwardedProtoHeader = "+quote(ProtoHeader)+"))")
			out = append(out, "(name = "+quote(b.Name)+", service = "+quote(name)+")")
			continue
		}
		value, err := bindingValue(p.Version, b)
		if err != nil {
			return nil, err
		}
		out = append(out, "(name = "+quote(b.Name)+", "+value+")")
	}
	return out, nil
}

// ServiceTarget is the Worker and the named entry point ("" is the default one)
// that a service binding addresses.
func ServiceTarget(b Binding) (service, entrypoint string, err error) {
	if err := field(b, "service", &service); err != nil {
		return "", "", err
	}
	if _, ok := b.Fields["entrypoint"]; ok {
		if err := field(b, "entrypoint", &entrypoint); err != nil {
			return "", "", err
		}
	}
	if entrypoint == "default" {
		entrypoint = ""
	}
	return service, entrypoint, nil
}

func bindingValue(v Version, b Binding) (string, error) {
	switch b.Type {
	case "plain_text", "secret_text":
		var text string
		if err := field(b, "text", &text); err != nil {
			return "", err
		}
		return "text = " + quote(text), nil
	case "json":
		raw, ok := b.Fields["json"]
		if !ok {
			return "", fmt.Errorf("binding %q: member %q is missing", b.Name, "json")
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			return "", fmt.Errorf("binding %q: member %q is not JSON", b.Name, "json")
		}
		return "json = " + quote(compact.String()), nil
	case "version_metadata":
		meta, err := json.Marshal(struct {
			ID        string `json:"id"`
			Tag       string `json:"tag"`
			Timestamp string `json:"timestamp"`
		}{v.ID, v.Tag, v.CreatedOn.UTC().Format(time.RFC3339Nano)})
		if err != nil {
			return "", err
		}
		return "json = " + quote(string(meta)), nil
	}
	return "", fmt.Errorf("binding %q: a self-hosted plane has no bindings of type %q; remove it or run this Worker on the edge plane", b.Name, b.Type)
}

// field decodes a binding's member. Its error never quotes the member: it may be
// a secret.
func field(b Binding, name string, into *string) error {
	raw, ok := b.Fields[name]
	if !ok {
		return fmt.Errorf("binding %q: member %q is missing", b.Name, name)
	}
	if json.Unmarshal(raw, into) != nil {
		return fmt.Errorf("binding %q: member %q is not a string", b.Name, name)
	}
	return nil
}

// modulesOf lists a version's modules, the main module first as workerd wants
// it. A version in service worker syntax has one module and no main module.
func modulesOf(v Version) ([]string, error) {
	if v.MainModule == "" {
		return nil, nil
	}
	var main string
	var rest []string
	for _, m := range v.Modules {
		if !filepath.IsAbs(m.Path) {
			return nil, fmt.Errorf("module %q: path %q is not absolute", m.Name, m.Path)
		}
		text := "(name = " + quote(m.Name) + ", " + string(m.Type) + " = embed " + quote(m.Path) + ")"
		switch {
		case m.Name != v.MainModule:
			rest = append(rest, text)
		case m.Type != ESModule && m.Type != PythonModule:
			return nil, &InvalidVersionError{Message: fmt.Sprintf("The main module %q must be an ES module; it was uploaded as %s.", m.Name, m.Type)}
		default:
			main = text
		}
	}
	if main == "" {
		return nil, &InvalidVersionError{Message: fmt.Sprintf("No such module %q: it is named as the main module.", v.MainModule)}
	}
	return append([]string{main}, rest...), nil
}

func worker(v Version, modules, bindings []string, outbound string) string {
	code := "modules = [" + strings.Join(modules, ", ") + "]"
	if v.MainModule == "" && len(v.Modules) > 0 {
		code = "serviceWorkerScript = embed " + quote(v.Modules[0].Path)
	}
	date := v.CompatibilityDate
	if date == "" {
		date = oldestCompatibilityDate
	}
	return "worker = (" + code +
		", compatibilityDate = " + quote(date) +
		", compatibilityFlags = " + textList(v.CompatibilityFlags) +
		", bindings = [" + strings.Join(bindings, ", ") + "]" +
		", globalOutbound = " + quote(outbound) + `, cacheApiOutbound = "health")`
}

func textList(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// config collects the parts of a configuration.
type config struct {
	heapMiB           int
	services, sockets []string
}

func newConfig(heapMiB int) *config {
	if heapMiB == 0 {
		heapMiB = DefaultHeapLimitMiB
	}
	return &config{heapMiB: heapMiB}
}

func (c *config) service(name, body string) {
	c.services = append(c.services, "(name = "+quote(name)+", "+body+")")
}

func (c *config) socket(name, options, service string) {
	c.sockets = append(c.sockets, "(name = "+quote(name)+", http = ("+options+"), service = "+service+")")
}

func (c *config) bytes() []byte {
	var b bytes.Buffer
	b.WriteString("using Workerd = import \"/workerd/workerd.capnp\";\n\nconst config :Workerd.Config = (\n  services = [\n    ")
	b.WriteString(strings.Join(c.services, ",\n    "))
	b.WriteString("\n  ],\n  sockets = [\n    ")
	b.WriteString(strings.Join(c.sockets, ",\n    "))
	fmt.Fprintf(&b, "\n  ],\n  v8Flags = [%s],\n  logging = (structuredLogging = true),\n);\n", quote("--max-heap-size="+strconv.Itoa(c.heapMiB)))
	return b.Bytes()
}

// errNoModules is the machine's fault: the plane refuses such an upload.
var errNoModules = errors.New("the version has no modules")
