// SPDX-License-Identifier: MPL-2.0

// Package tfkit is the glue between terraform-plugin-framework and the rest of
// Hybridge that every kind of object needs: which plane to talk to, how an API
// error becomes a diagnostic, how Read and import are shaped, and the
// validators that more than one kind uses.
//
// Terraform types stop here and in the kinds' packages: what they call is plain
// Go.
package tfkit

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/bundle"
	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// DefaultPlane is the name under which the provider block's own settings are
// registered. A resource that sets no plane uses it.
const DefaultPlane = ""

// Plane is a configured plane. It is safe for concurrent use.
type Plane struct {
	Name      string // DefaultPlane or a key of the provider's planes
	AccountID string // 32 hex digits
	Region    string // as the provider block says; empty if it does not
	Client    *cloudflare.Client

	where locator
}

// String names the plane and where it is, for diagnostics.
func (p *Plane) String() string {
	return describePlane(p.Name) + " (" + p.Client.BaseURL() + ")"
}

// WorkerName is the name of a Worker, for diagnostics, also where the configuration has
// its id: as far as this process has seen it, because a diagnostic is worth no request.
func (p *Plane) WorkerName(idOrName string) string {
	if p == nil {
		return idOrName
	}
	return p.Client.KnownName(idOrName)
}

func describePlane(name string) string {
	if name == DefaultPlane {
		return "the default plane"
	}
	return fmt.Sprintf("plane %q", name)
}

// Data is what Configure hands to every resource, data source and so on. Planes
// are made on first use, so that one with broken settings never keeps the
// others from working. Data is safe for concurrent use.
type Data struct {
	// Bundler reads and remembers Workers' code, for all resources together.
	Bundler *bundle.Bundler
	// Secrets reads SOPS files and opens each once, for all resources together.
	Secrets *sealed.Store

	planes map[string]func() (*Plane, error)

	mu   sync.Mutex
	kept map[string]bool
	// unseen are the Workers that this run plans without preview URLs.
	unseen map[workerAt]bool
}

type workerAt struct{ plane, idOrName string }

// NewData returns the planes that open makes, by name. Each function is called
// once at most; its error MUST say what to change where.
func NewData(open map[string]func() (*Plane, error), secrets *sealed.Store) *Data {
	d := &Data{
		Bundler: bundle.NewBundler(),
		Secrets: secrets,
		planes:  make(map[string]func() (*Plane, error), len(open)),
		kept:    map[string]bool{},
		unseen:  map[workerAt]bool{},
	}
	for name, f := range open {
		d.planes[name] = sync.OnceValues(f)
	}
	return d
}

// Keep notes that this run created or adopted the object with this id, so that a
// Delete later in the same run, e.g. that of a replaced resource, spares it.
func (d *Data) Keep(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept[id] = true
}

// Kept reports whether Keep was called for this id.
func (d *Data) Kept(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.kept[id]
}

// PlanPreviews notes whether a Worker, known by these ids and names, will have preview URLs.
// Terraform plans it before what refers to it.
func (d *Data) PlanPreviews(plane string, enabled bool, idsAndNames ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, known := range idsAndNames {
		if known != "" {
			d.unseen[workerAt{plane, known}] = !enabled
		}
	}
}

// PlannedWithoutPreviews reports whether this run plans the Worker without preview URLs.
func (d *Data) PlannedWithoutPreviews(plane, idOrName string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unseen[workerAt{plane, idOrName}]
}

// Names lists the named planes in order, without the default one.
func (d *Data) Names() []string {
	var names []string
	for name := range d.planes {
		if name != DefaultPlane {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Plane returns the plane that a resource's plane attribute names; null picks
// the default one. The name MUST be known. On failure it adds an error at the
// plane attribute and returns nil. It needs no network, so ModifyPlan may call it.
func (d *Data) Plane(name types.String, diags *diag.Diagnostics) *Plane {
	at := path.Root("plane")
	open, ok := d.planes[name.ValueString()]
	if !ok {
		diags.AddAttributeError(at, "Unknown plane", d.unknownPlane(name.ValueString()))
		return nil
	}
	p, err := open()
	if err != nil {
		instead := ""
		if names := d.Names(); name.ValueString() == DefaultPlane && len(names) > 0 {
			instead = fmt.Sprintf(" Or set plane to one of the configured planes: %s.", strings.Join(names, ", "))
		}
		diags.AddAttributeError(at, "Plane cannot be used",
			fmt.Sprintf("The settings of %s cannot be used: %s.%s", describePlane(name.ValueString()), err, instead))
		return nil
	}
	return p
}

func (d *Data) unknownPlane(name string) string {
	known := "The provider block configures no named plane."
	if names := d.Names(); len(names) > 0 {
		known = "Configured planes: " + strings.Join(names, ", ") + "."
	}
	return fmt.Sprintf("No plane is named %q. %s Add planes = { %s = { base_url, account_id, api_token } } to the "+
		"provider block, name one of the configured planes, or leave plane out to use the default plane.",
		name, known, planeKey(name))
}

// planeKey writes a plane's name as it would be written as a key in HCL.
func planeKey(name string) string {
	if planeName().MatchString(name) {
		return name
	}
	return fmt.Sprintf("%q", name)
}

// SameAccount adds an error if an object that state says lives in one account
// would be looked for in another one: there it would be "not found", and
// Terraform would create a second one. A null or unknown account passes.
func (p *Plane) SameAccount(account types.String, object string, diags *diag.Diagnostics) bool {
	if account.IsNull() || account.IsUnknown() || account.ValueString() == p.AccountID {
		return true
	}
	diags.AddError("Plane belongs to another account", fmt.Sprintf(
		"%s was created in account %s, but %s is configured for account %s. Put the former account_id back "+
			"(provider block or CLOUDFLARE_ACCOUNT_ID), or configure a second plane for the new account and set plane.",
		object, account.ValueString(), p, p.AccountID))
	return false
}
