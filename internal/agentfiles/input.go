// SPDX-License-Identifier: MPL-2.0

package agentfiles

import "fmt"

// input1 is the input of format 1, checked. Names and layout are those of agent.yaml,
// without what leads to secrets: their places follow from the names.
type input1 struct {
	region     string
	plane      *plane
	ingress    *ingress
	connectors map[string]connector
	health     string // where it listens; empty: a unix socket
	alerts     alerts
	logLevel   string
	programs   map[string]*program // by name; nil: not given
	unit       unit
}

type plane struct {
	listen      string
	allowEgress []string
}

type ingress struct {
	listen       []listener
	certificates []string
	zones        map[string]map[string]string // Worker by host name by zone
}

type listener struct {
	address string
	tls     bool
}

// connector is one of a tunnel. With an account the agent asks for the tunnel's token itself, and needs
// an API token instead.
type connector struct{ tunnelID, metrics, accountID, baseURL string }

type alerts struct {
	webhooks                    map[string]string // URL by name
	certificateExpiry, diskFree string
}

// program is where one comes from: from a release, or, with a path, from the machine.
type program struct {
	version, url, path string
	sha256             map[string]string // by architecture
}

type unit struct{ load, memoryMax string }

// How secrets come to the agent.
const (
	// Tokens of tunnels lie in the machine's SOPS file, which the agent opens with the age identity that
	// systemd hands it; the rest is as with loadEncrypted.
	loadSOPS      = "sops"
	loadEncrypted = "encrypted" // systemd decrypts them (systemd-creds)
	loadPlain     = "plain"     // systemd reads them from /etc/credstore
	loadFiles     = "files"     // the agent reads them itself, and again when they change
)

const (
	defaultAPI     = "unix:///run/hybridge/api.sock"
	defaultIngress = "127.0.0.1:8787"
)

// programNames in the order in which they are installed.
var programNames = []string{"hybridge", "workerd", "cloudflared"}

func (o *object) input1() *input1 {
	in := &input1{region: o.optional("region"), logLevel: o.text("log_level", "info")}
	if p := o.child("plane"); p != nil {
		in.plane = &plane{listen: p.text("listen", defaultAPI), allowEgress: p.words("allow_egress")}
		p.end()
	}
	if i := o.child("ingress"); i != nil {
		in.ingress = i.ingress()
	}
	in.connectors = map[string]connector{}
	for name, c := range o.children("connectors") {
		in.connectors[name] = connector{
			tunnelID: c.text("tunnel_id", ""), metrics: c.optional("metrics"), accountID: c.optional("account_id"), baseURL: c.optional("base_url"),
		}
		c.end()
	}
	if h := o.child("health"); h != nil {
		in.health = h.optional("listen")
		h.end()
	}
	if a := o.child("alerts"); a != nil {
		in.alerts = alerts{webhooks: a.texts("webhooks"), certificateExpiry: a.optional("certificate_expiry"), diskFree: a.optional("disk_free")}
		a.end()
	}
	in.programs = map[string]*program{}
	if all := o.child("programs"); all != nil {
		for _, name := range programNames {
			if p := all.child(name); p != nil {
				in.programs[name] = &program{version: p.optional("version"), url: p.optional("url"), path: p.optional("path"), sha256: p.texts("sha256")}
				p.end()
			}
		}
		all.end()
	}
	in.unit.load = loadEncrypted
	if u := o.child("unit"); u != nil {
		in.unit = unit{load: u.text("load", loadEncrypted), memoryMax: u.optional("memory_max")}
		u.end()
	}
	o.end()
	return in
}

func (o *object) ingress() *ingress {
	in := &ingress{certificates: o.words("certificates"), zones: map[string]map[string]string{}}
	for i, v := range o.list("listen") {
		path := fmt.Sprintf("%s.listen[%d]", o.path, i)
		values, ok := v.(map[string]any)
		if !ok {
			o.d.bad(path, "it has to be an object such as { address = %q }, not %s", defaultIngress, kind(v))
			continue
		}
		l := &object{d: o.d, path: path, values: values}
		in.listen = append(in.listen, listener{address: l.text("address", ""), tls: l.flag("tls")})
		l.end()
	}
	if o.values["listen"] == nil {
		in.listen = []listener{{address: defaultIngress}}
	}
	if zones := o.child("zones"); zones != nil {
		for _, zone := range sorted(zones.values) {
			in.zones[zone] = zones.texts(zone)
		}
	}
	o.end()
	return in
}
