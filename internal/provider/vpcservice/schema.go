// SPDX-License-Identifier: MPL-2.0

package vpcservice

import (
	"context"
	"net/netip"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tunnel"
	"github.com/hybridge/terraform-provider-hybridge/internal/tunnelrule"
)

func resourceSchema(context.Context) schema.Schema {
	port := func(what, standard string) schema.Int64Attribute {
		return schema.Int64Attribute{
			Optional: true, MarkdownDescription: what + ", 1 to 65535. Default: " + standard + ". Changed in place.",
			Validators: []validator.Int64{int64validator.Between(1, 65535)},
		}
	}
	return schema.Schema{
		MarkdownDescription: "A private service behind a tunnel (Workers VPC) that Workers reach by a binding: `vpc_services = { API = hybridge_vpc_service.api.id }` on a version, and `env.API.fetch(...)` " +
			"in the Worker. Its host is either an address (`ipv4`, `ipv6` or both) or a `hostname`. On a self-hosted plane the machine of the plane must reach it.\n\n" +
			"Permission groups: `Connectivity Directory Admin` (`Connectivity Directory Read` suffices for planning); a version that binds to it needs `Connectivity Directory Bind`.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required: true, MarkdownDescription: "Name, unique in the account, 1 to 128 bytes. Changed in place.", Validators: []validator.String{stringvalidator.LengthBetween(1, 128)},
			},
			"type": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "`http` for what Workers fetch, or `tcp`, e.g. for databases; a self-hosted plane serves `http` only. A change replaces the object.",
				Validators:          []validator.String{stringvalidator.OneOf("http", "tcp")},
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"tunnel_id": schema.StringAttribute{
				Required: true, MarkdownDescription: "Id of the tunnel that leads to the host. Changed in place.", Validators: []validator.String{tunnel.ID()},
			},
			"ipv4": schema.StringAttribute{
				Optional: true, MarkdownDescription: "IPv4 address of the host. Default: none. Changed in place.",
				Validators: []validator.String{address("IPv4", netip.Addr.Is4)},
			},
			"ipv6": schema.StringAttribute{
				Optional: true, MarkdownDescription: "IPv6 address of the host, in its shortest form. Default: none. Changed in place.",
				Validators: []validator.String{address("IPv6", netip.Addr.Is6)},
			},
			"hostname": schema.StringAttribute{
				Optional: true, MarkdownDescription: "Name of the host, looked up behind the tunnel. Default: none. Changed in place.",
				Validators: []validator.String{tfkit.Check("a host name such as api.internal", func(s string) bool { return tunnelrule.IsHostname(strings.ToLower(s)) })},
			},
			"resolver_ips": schema.ListAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Addresses of the name servers that know `hostname`. Default: those of the tunnel's connector; a self-hosted plane asks its machine's in any case. Changed in place.",
				Validators: []validator.List{listvalidator.SizeAtLeast(1), listvalidator.ValueStringsAre(address("IP", netip.Addr.IsValid)),
					listvalidator.AlsoRequires(path.MatchRoot("hostname"))},
			},
			"http_port":  port("Port for plain HTTP; only of type `http`", "`80`, as the plane has it"),
			"https_port": port("Port for HTTPS; only of type `http`", "`443`, as the plane has it"),
			"tcp_port":   port("Port; needed by, and only of, type `tcp`", "none"),
			"app_protocol": schema.StringAttribute{
				Optional: true, MarkdownDescription: "`postgresql` or `mysql`; only of type `tcp`. Default: none. Changed in place.",
				Validators: []validator.String{stringvalidator.OneOf("postgresql", "mysql")},
			},
			"cert_verification_mode": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "How the host's certificate is checked: `verify_full`, `verify_ca` (authority but not name) or `disabled` (whoever is in between can read and change everything). " +
					"Default: `verify_full`, as the plane has it. Changed in place.",
				Validators: []validator.String{stringvalidator.OneOf("verify_full", "verify_ca", "disabled")},
			},
			"plane":      tfkit.PlaneAttribute(),
			"account_id": tfkit.AccountAttribute(),
			"id": schema.StringAttribute{
				Computed: true, MarkdownDescription: "Id of the service, a UUID. Never changes.", PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
		},
	}
}

// address accepts an address of a family in its shortest form, as the plane keeps it.
func address(family string, is func(netip.Addr) bool) validator.String {
	return tfkit.Check("an "+family+" address", func(s string) bool {
		a, err := netip.ParseAddr(s)
		return err == nil && is(a) && a.String() == s
	})
}

// validate refuses hosts and ports that do not go together.
func validate(ctx context.Context, config tfsdk.Config, diags *diag.Diagnostics) {
	texts, ports := map[string]types.String{}, map[string]types.Int64{}
	for _, name := range []string{"type", "ipv4", "ipv6", "hostname", "app_protocol"} {
		var v types.String
		diags.Append(config.GetAttribute(ctx, path.Root(name), &v)...)
		texts[name] = v
	}
	for _, name := range []string{"http_port", "https_port", "tcp_port"} {
		var v types.Int64
		diags.Append(config.GetAttribute(ctx, path.Root(name), &v)...)
		ports[name] = v
	}
	refuse := func(name, why string) { diags.AddAttributeError(path.Root(name), "Invalid value for "+name, why) }
	v4, v6, host := texts["ipv4"], texts["ipv6"], texts["hostname"]
	// What is unknown may turn out to be null: a module passes all of them on.
	set := func(v attr.Value) bool { return !v.IsNull() && !v.IsUnknown() }
	switch {
	case set(host) && (set(v4) || set(v6)):
		refuse("hostname", "A host is either an address (ipv4, ipv6 or both) or a hostname: remove one of them.")
	case host.IsNull() && v4.IsNull() && v6.IsNull():
		refuse("hostname", "The service needs a host: set ipv4, ipv6 or both, or hostname.")
	}
	switch texts["type"].ValueString() {
	case "http":
		if set(ports["tcp_port"]) {
			refuse("tcp_port", "It belongs to services of type tcp: use http_port or https_port.")
		}
		if set(texts["app_protocol"]) {
			refuse("app_protocol", "It belongs to services of type tcp.")
		}
	case "tcp":
		for _, name := range []string{"http_port", "https_port"} {
			if set(ports[name]) {
				refuse(name, "It belongs to services of type http: use tcp_port.")
			}
		}
		if ports["tcp_port"].IsNull() {
			refuse("tcp_port", "A service of type tcp needs it.")
		}
	}
}
