// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/tunnelrule"
)

// model is a hybridge_tunnel in plan and state.
type model struct {
	Name            types.String   `tfsdk:"name"`
	Plane           types.String   `tfsdk:"plane"`
	Ingress         []ruleModel    `tfsdk:"ingress"`
	OriginRequest   *originModel   `tfsdk:"origin_request"`
	WarpRouting     types.Bool     `tfsdk:"warp_routing"`
	RotationTrigger types.String   `tfsdk:"rotation_trigger"`
	Timeouts        timeouts.Value `tfsdk:"timeouts"`
	AccountID       types.String   `tfsdk:"account_id"`
	ID              types.String   `tfsdk:"id"`
	CreatedOn       types.String   `tfsdk:"created_on"`
	CNAME           types.String   `tfsdk:"cname"`
}

type ruleModel struct {
	Hostname      types.String `tfsdk:"hostname"`
	Path          types.String `tfsdk:"path"`
	Service       types.String `tfsdk:"service"`
	OriginRequest *originModel `tfsdk:"origin_request"`
}

type originModel struct {
	ConnectTimeout         types.Int64   `tfsdk:"connect_timeout"`
	TLSTimeout             types.Int64   `tfsdk:"tls_timeout"`
	TCPKeepAlive           types.Int64   `tfsdk:"tcp_keep_alive"`
	NoHappyEyeballs        types.Bool    `tfsdk:"no_happy_eyeballs"`
	KeepAliveConnections   types.Int64   `tfsdk:"keep_alive_connections"`
	KeepAliveTimeout       types.Int64   `tfsdk:"keep_alive_timeout"`
	HTTPHostHeader         types.String  `tfsdk:"http_host_header"`
	OriginServerName       types.String  `tfsdk:"origin_server_name"`
	MatchSNIToHost         types.Bool    `tfsdk:"match_sni_to_host"`
	CAPool                 types.String  `tfsdk:"ca_pool"`
	NoTLSVerify            types.Bool    `tfsdk:"no_tls_verify"`
	DisableChunkedEncoding types.Bool    `tfsdk:"disable_chunked_encoding"`
	HTTP2Origin            types.Bool    `tfsdk:"http2_origin"`
	BastionMode            types.Bool    `tfsdk:"bastion_mode"`
	ProxyAddress           types.String  `tfsdk:"proxy_address"`
	ProxyPort              types.Int64   `tfsdk:"proxy_port"`
	ProxyType              types.String  `tfsdk:"proxy_type"`
	IPRules                []ipRuleModel `tfsdk:"ip_rules"`
	Access                 *accessModel  `tfsdk:"access"`
}

type ipRuleModel struct {
	Prefix types.String  `tfsdk:"prefix"`
	Ports  []types.Int64 `tfsdk:"ports"`
	Allow  types.Bool    `tfsdk:"allow"`
}

type accessModel struct {
	Required types.Bool     `tfsdk:"required"`
	TeamName types.String   `tfsdk:"team_name"`
	AudTag   []types.String `tfsdk:"aud_tag"`
}

// configOf reads a tunnel's configuration; nil if it has none.
func configOf(ctx context.Context, p *tfkit.Plane, id string) (*tunnelrule.Config, error) {
	got, err := p.Client.TunnelConfig(ctx, id)
	if err != nil || got.Config == nil {
		return nil, err
	}
	config, err := tunnelrule.Parse(got.Config)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of the tunnel %s: %w", id, err)
	}
	return &config, nil
}

// config is the wanted configuration; nil if none is managed. The catch-all is added
// where the last rule is none.
func (m model) config() *tunnelrule.Config {
	if m.Ingress == nil {
		return nil
	}
	c := &tunnelrule.Config{Origin: m.OriginRequest.rule()}
	if m.WarpRouting.ValueBool() {
		c.WarpRouting = &tunnelrule.WarpRouting{Enabled: true}
	}
	for _, r := range m.Ingress {
		c.Ingress = append(c.Ingress, tunnelrule.Rule{
			Hostname: r.Hostname.ValueString(), Path: r.Path.ValueString(), Service: r.Service.ValueString(), Origin: r.OriginRequest.rule(),
		})
	}
	if n := len(c.Ingress); n == 0 || !c.Ingress[n-1].IsCatchAll() {
		c.Ingress = append(c.Ingress, tunnelrule.CatchAll)
	}
	return c
}

func (o *originModel) rule() *tunnelrule.Origin {
	if o == nil {
		return nil
	}
	out := &tunnelrule.Origin{
		ConnectTimeout: o.ConnectTimeout.ValueInt64Pointer(), TLSTimeout: o.TLSTimeout.ValueInt64Pointer(), TCPKeepAlive: o.TCPKeepAlive.ValueInt64Pointer(),
		NoHappyEyeballs: o.NoHappyEyeballs.ValueBoolPointer(), KeepAliveConnections: o.KeepAliveConnections.ValueInt64Pointer(),
		KeepAliveTimeout: o.KeepAliveTimeout.ValueInt64Pointer(), HTTPHostHeader: o.HTTPHostHeader.ValueStringPointer(),
		OriginServerName: o.OriginServerName.ValueStringPointer(), MatchSNIToHost: o.MatchSNIToHost.ValueBoolPointer(), CAPool: o.CAPool.ValueStringPointer(),
		NoTLSVerify: o.NoTLSVerify.ValueBoolPointer(), DisableChunkedEncoding: o.DisableChunkedEncoding.ValueBoolPointer(), HTTP2Origin: o.HTTP2Origin.ValueBoolPointer(),
		BastionMode: o.BastionMode.ValueBoolPointer(), ProxyAddress: o.ProxyAddress.ValueStringPointer(), ProxyPort: o.ProxyPort.ValueInt64Pointer(),
		ProxyType: o.ProxyType.ValueStringPointer(),
	}
	for _, r := range o.IPRules {
		rule := tunnelrule.IPRule{Prefix: r.Prefix.ValueString(), Allow: r.Allow.ValueBool()}
		for _, p := range r.Ports {
			rule.Ports = append(rule.Ports, p.ValueInt64())
		}
		out.IPRules = append(out.IPRules, rule)
	}
	if o.Access != nil {
		out.Access = &tunnelrule.Access{Required: o.Access.Required.ValueBool(), TeamName: o.Access.TeamName.ValueString()}
		for _, tag := range o.Access.AudTag {
			out.Access.AudTag = append(out.Access.AudTag, tag.ValueString())
		}
	}
	return out
}

// setConfig makes the model what the plane says. The catch-all that config adds is
// left out, unless the model has it already, so that nobody sees it as a difference.
func (m *model) setConfig(c *tunnelrule.Config) {
	hadCatchAll := len(m.Ingress) > 0 && m.Ingress[len(m.Ingress)-1].isCatchAll()
	was, whole := m.Ingress, m.OriginRequest
	m.Ingress, m.OriginRequest, m.WarpRouting = []ruleModel{}, nil, types.BoolValue(false)
	if c == nil {
		m.Ingress = nil
		return
	}
	rules := c.Ingress
	if n := len(rules); n > 0 && !hadCatchAll && rules[n-1].Service == tunnelrule.CatchAll.Service && rules[n-1].IsCatchAll() && rules[n-1].Origin.IsEmpty() {
		rules = rules[:n-1]
	}
	for i, r := range rules {
		rule := ruleModel{Hostname: text(r.Hostname), Path: text(r.Path), Service: types.StringValue(r.Service), OriginRequest: originOf(r.Origin)}
		if i < len(was) && rule.OriginRequest == nil && was[i].OriginRequest != nil && was[i].OriginRequest.rule().IsEmpty() {
			rule.OriginRequest = was[i].OriginRequest // {} and nothing are the same
		}
		m.Ingress = append(m.Ingress, rule)
	}
	if m.OriginRequest = originOf(c.Origin); m.OriginRequest == nil && whole != nil && whole.rule().IsEmpty() {
		m.OriginRequest = whole
	}
	if c.WarpRouting != nil {
		m.WarpRouting = types.BoolValue(c.WarpRouting.Enabled)
	}
}

func (r ruleModel) isCatchAll() bool {
	return tunnelrule.Rule{Hostname: r.Hostname.ValueString(), Path: r.Path.ValueString()}.IsCatchAll()
}

// originOf is null for settings that set nothing.
func originOf(o *tunnelrule.Origin) *originModel {
	if o.IsEmpty() {
		return nil
	}
	out := &originModel{
		ConnectTimeout: types.Int64PointerValue(o.ConnectTimeout), TLSTimeout: types.Int64PointerValue(o.TLSTimeout), TCPKeepAlive: types.Int64PointerValue(o.TCPKeepAlive),
		NoHappyEyeballs: types.BoolPointerValue(o.NoHappyEyeballs), KeepAliveConnections: types.Int64PointerValue(o.KeepAliveConnections),
		KeepAliveTimeout: types.Int64PointerValue(o.KeepAliveTimeout), HTTPHostHeader: types.StringPointerValue(o.HTTPHostHeader),
		OriginServerName: types.StringPointerValue(o.OriginServerName), MatchSNIToHost: types.BoolPointerValue(o.MatchSNIToHost), CAPool: types.StringPointerValue(o.CAPool),
		NoTLSVerify: types.BoolPointerValue(o.NoTLSVerify), DisableChunkedEncoding: types.BoolPointerValue(o.DisableChunkedEncoding), HTTP2Origin: types.BoolPointerValue(o.HTTP2Origin),
		BastionMode: types.BoolPointerValue(o.BastionMode), ProxyAddress: types.StringPointerValue(o.ProxyAddress), ProxyPort: types.Int64PointerValue(o.ProxyPort),
		ProxyType: types.StringPointerValue(o.ProxyType),
	}
	for _, r := range o.IPRules {
		rule := ipRuleModel{Prefix: types.StringValue(r.Prefix), Allow: types.BoolValue(r.Allow)}
		for _, p := range r.Ports {
			rule.Ports = append(rule.Ports, types.Int64Value(p))
		}
		out.IPRules = append(out.IPRules, rule)
	}
	if o.Access != nil {
		out.Access = &accessModel{Required: types.BoolValue(o.Access.Required), TeamName: types.StringValue(o.Access.TeamName)}
		for _, tag := range o.Access.AudTag {
			out.Access.AudTag = append(out.Access.AudTag, types.StringValue(tag))
		}
	}
	return out
}

// text is null for the empty one, which means the same.
func text(s string) types.String {
	if s == "" {
		return types.StringNull()
	}
	return types.StringValue(s)
}

// setComputed writes what only the plane knows.
func (m *model) setComputed(t *cloudflare.Tunnel, account string) {
	m.AccountID, m.ID = types.StringValue(account), types.StringValue(t.ID)
	m.CreatedOn = types.StringValue(t.CreatedAt.UTC().Format(time.RFC3339))
	m.CNAME = types.StringValue(t.ID + "." + cloudflare.TunnelDomain)
	if m.Timeouts.IsNull() {
		m.Timeouts = noTimeouts()
	}
}

func noTimeouts() timeouts.Value {
	return timeouts.Value{Object: types.ObjectNull(map[string]attr.Type{"update": types.StringType, "delete": types.StringType})}
}
