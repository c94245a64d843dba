// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

const description = "A Cloudflare Tunnel with its ingress rules. Connectors (`cloudflared`) fetch the rules from the plane; a self-hosted plane serves " +
	"their host names itself, so that they can be tried offline.\n\n" +
	"The secret of the tunnel is made in memory, sent to the plane and kept nowhere: neither plan nor state has it. The ephemeral resource " +
	"`hybridge_tunnel_token` gives a connector's token to what needs it.\n\n" +
	"Destroying a tunnel ends the connections of its connectors, waits until they are gone, and deletes it. A connector that goes on coming back keeps it: stop it.\n\n" +
	"Permission groups: `Cloudflare Tunnel Write` (`Cloudflare Tunnel Read` suffices for planning)."

// Default limits.
const (
	defaultRotation = "10m"
	defaultDelete   = "2m"
)

func resourceSchema(ctx context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: description,
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required: true,
				MarkdownDescription: "Name of the tunnel, 1 to 100 characters, unique among those of the account that are not deleted, and no UUID. " +
					"A change renames it in place.",
				Validators: []validator.String{Name()},
			},
			"plane": tfkit.PlaneAttribute(),
			"ingress": schema.ListNestedAttribute{
				Optional: true,
				MarkdownDescription: "Rules, tried in their order: the first that fits the host name and path of a request serves it. Unless the last one fits " +
					"everything, `http_status:404` is added after it. Default: the configuration is not managed. Changed in place.",
				Validators:   []validator.List{listvalidator.SizeAtLeast(1)},
				NestedObject: schema.NestedAttributeObject{Attributes: ruleAttributes()},
			},
			"origin_request": originAttribute("Settings that hold for every rule that does not say otherwise; needs `ingress`."),
			"warp_routing": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "Whether clients of private networks (WARP) come through the tunnel; needs `ingress`. Default: `false`. Changed in place.",
			},
			"rotation_trigger": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Any text; a change of it rotates the secret in place. Then as many connectors as there were must come with the new token, " +
					"and only after that the old ones' connections are ended. If they do not come within `timeouts.update`, nothing is ended, the apply fails, and the " +
					"next one goes on waiting without rotating again. Setting it first, or removing it, rotates nothing. Default: none.",
				Validators: []validator.String{stringvalidator.LengthBetween(1, 1024)},
			},
			"timeouts":   timeoutsAttribute(ctx),
			"account_id": tfkit.AccountAttribute(),
			"id": schema.StringAttribute{
				Computed: true, MarkdownDescription: "Id of the tunnel, a UUID. Never changes.",
				PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"created_on": schema.StringAttribute{
				Computed: true, MarkdownDescription: "When the tunnel was created, RFC 3339 in UTC. Never changes.",
				PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"cname": schema.StringAttribute{
				Computed: true, MarkdownDescription: "Where DNS records of its host names point to: `<id>.cfargotunnel.com`. Never changes.",
				PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
		},
	}
}

func timeoutsAttribute(ctx context.Context) schema.Attribute {
	made := timeouts.Attributes(ctx, timeouts.Opts{
		Update: true, Delete: true,
		UpdateDescription: "How long a rotation waits for connectors with the new token, e.g. `15m`. Default: `" + defaultRotation + "`. Changed in place, without a request.",
		DeleteDescription: "How long a destroy waits for connections to end, e.g. `5m`. Default: `" + defaultDelete + "`. Changed in place, without a request.",
	})
	a, ok := made.(schema.SingleNestedAttribute)
	if !ok {
		return made
	}
	a.MarkdownDescription = "How long to wait. Default: see its members. Changed in place, without a request."
	return a
}

func ruleAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"hostname": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "Host name that requests come for, e.g. `app.example.com`, or `*.example.com` for all below one. Default: every host name. Changed in place.",
			Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
		},
		"path": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "Regular expression (RE2) that fits some part of the path, e.g. `^/admin`. Default: every path. Changed in place.",
			Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
		},
		"service": schema.StringAttribute{
			Required: true,
			MarkdownDescription: "Where requests go: a URL of scheme, host and port with `http`, `https`, `ws`, `wss`, `tcp`, `ssh`, `rdp` or `smb`; `unix:/path` or " +
				"`unix+tls:/path`; `http_status:404` for an answer of its own; `hello_world`; `bastion`; `socks-proxy`. Changed in place.",
		},
		"origin_request": originAttribute("How this service is spoken to."),
	}
}

func originAttribute(meaning string) schema.SingleNestedAttribute {
	const end = " Default: cloudflared's. Changed in place."
	number := func(text string) schema.Int64Attribute {
		return schema.Int64Attribute{Optional: true, MarkdownDescription: text + end}
	}
	flag := func(text string) schema.BoolAttribute {
		return schema.BoolAttribute{Optional: true, MarkdownDescription: text + end}
	}
	word := func(text string) schema.StringAttribute {
		return schema.StringAttribute{Optional: true, MarkdownDescription: text + end}
	}
	return schema.SingleNestedAttribute{
		Optional:            true,
		MarkdownDescription: meaning + end,
		Attributes: map[string]schema.Attribute{
			"connect_timeout":          number("Seconds until a TCP connection to the service must stand, without TLS; cloudflared's default is 30."),
			"tls_timeout":              number("Seconds that the TLS handshake may take; cloudflared's default is 10."),
			"tcp_keep_alive":           number("Seconds between TCP keep-alives; cloudflared's default is 30."),
			"no_happy_eyeballs":        flag("Whether not to try IPv4 and IPv6 at the same time."),
			"keep_alive_connections":   number("How many idle connections are kept; cloudflared's default is 100."),
			"keep_alive_timeout":       number("Seconds until an idle connection is closed; cloudflared's default is 90."),
			"http_host_header":         word("Host header that the service gets instead of the request's."),
			"origin_server_name":       word("Host name that the service's certificate must be for."),
			"match_sni_to_host":        flag("Whether the TLS server name is that of the request's host."),
			"ca_pool":                  word("Absolute path, on the connector's machine, of a PEM file with the authorities that may have signed the service's certificate."),
			"no_tls_verify":            flag("Whether any certificate of the service is accepted: whoever is in between can read and change everything."),
			"disable_chunked_encoding": flag("Whether requests to the service are sent without chunked encoding, e.g. for WSGI servers."),
			"http2_origin":             flag("Whether the service is spoken to by HTTP/2; needs `https`."),
			"bastion_mode":             flag("Whether the connector is a jump host."),
			"proxy_address":            word("IP address on which the connector's proxy listens."),
			"proxy_port":               number("Port, 0 to 65535, on which the connector's proxy listens; 0 takes a free one."),
			"proxy_type":               word("`socks` for a SOCKS5 proxy, or empty for a regular one."),
			"ip_rules": schema.ListNestedAttribute{
				Optional:            true,
				MarkdownDescription: "What a proxy may reach; the first rule that fits decides." + end,
				Validators:          []validator.List{listvalidator.SizeAtLeast(1)},
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"prefix": schema.StringAttribute{Required: true, MarkdownDescription: "Address range such as `10.0.0.0/8`. Changed in place."},
					"ports": schema.ListAttribute{
						Optional: true, ElementType: types.Int64Type, MarkdownDescription: "Ports, 1 to 65535. Default: all. Changed in place.",
						Validators: []validator.List{listvalidator.SizeAtLeast(1)},
					},
					"allow": schema.BoolAttribute{Required: true, MarkdownDescription: "Whether connections are allowed. Changed in place."},
				}},
			},
			"access": schema.SingleNestedAttribute{
				Optional:            true,
				MarkdownDescription: "Whether the connector checks that requests come from Cloudflare Access." + end,
				Attributes: map[string]schema.Attribute{
					"required":  schema.BoolAttribute{Required: true, MarkdownDescription: "Whether requests without a valid token are refused. Changed in place."},
					"team_name": schema.StringAttribute{Required: true, MarkdownDescription: "Name of the team, before `.cloudflareaccess.com`. Changed in place."},
					"aud_tag": schema.ListAttribute{
						Required: true, ElementType: types.StringType, MarkdownDescription: "Tags of the Access applications that tokens may be for. Changed in place.",
						Validators: []validator.List{listvalidator.SizeAtLeast(1)},
					},
				},
			},
		},
	}
}
