// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// model is the provider block.
type model struct {
	APIToken          types.String  `tfsdk:"api_token"`
	APITokenSOPS      types.Object  `tfsdk:"api_token_sops"`
	Access            types.Object  `tfsdk:"access"`
	Region            types.String  `tfsdk:"region"`
	AccountID         types.String  `tfsdk:"account_id"`
	BaseURL           types.String  `tfsdk:"base_url"`
	InsecureHTTP      types.Bool    `tfsdk:"insecure_http"`
	Planes            types.Map     `tfsdk:"planes"`
	SOPS              types.Object  `tfsdk:"sops"`
	RequestsPerSecond types.Float64 `tfsdk:"requests_per_second"`
	MaxRetries        types.Int64   `tfsdk:"max_retries"`
	RequestTimeout    types.String  `tfsdk:"request_timeout"`
	UserAgentSuffix   types.String  `tfsdk:"user_agent_suffix"`
}

// planeModel is one entry of planes.
type planeModel struct {
	BaseURL      types.String `tfsdk:"base_url"`
	AccountID    types.String `tfsdk:"account_id"`
	APIToken     types.String `tfsdk:"api_token"`
	APITokenSOPS types.Object `tfsdk:"api_token_sops"`
	Access       types.Object `tfsdk:"access"`
	Region       types.String `tfsdk:"region"`
	InsecureHTTP types.Bool   `tfsdk:"insecure_http"`
}

// planes returns the entries of planes. One that is unknown has unknown members.
func (m model) planes(ctx context.Context, diags *diag.Diagnostics) map[string]planeModel {
	planes := make(map[string]planeModel, len(m.Planes.Elements()))
	for name, element := range m.Planes.Elements() {
		object, ok := element.(types.Object)
		if !ok {
			continue
		}
		entry := planeModel{
			BaseURL: types.StringUnknown(), AccountID: types.StringUnknown(), APIToken: types.StringUnknown(),
			APITokenSOPS: types.ObjectUnknown(nil), Region: types.StringUnknown(), InsecureHTTP: types.BoolUnknown(),
		}
		if !object.IsUnknown() {
			diags.Append(object.As(ctx, &entry, basetypes.ObjectAsOptions{})...)
		}
		planes[name] = entry
	}
	return planes
}

// ValidateConfig refuses what can never work, with the path of the attribute.
// What is not known yet is looked at by Configure.
func (p *hybridge) ValidateConfig(ctx context.Context, req provider.ValidateConfigRequest, resp *provider.ValidateConfigResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	validateURL(path.Root("base_url"), m.BaseURL, m.InsecureHTTP, &resp.Diagnostics)
	validateToken(path.Empty(), m.APIToken, m.APITokenSOPS, &resp.Diagnostics)
	validateAccess(path.Empty(), m.Access, m.BaseURL, !m.BaseURL.IsNull(), &resp.Diagnostics)
	for name, entry := range m.planes(ctx, &resp.Diagnostics) {
		at := path.Root("planes").AtMapKey(name)
		validateURL(at.AtName("base_url"), entry.BaseURL, entry.InsecureHTTP, &resp.Diagnostics)
		validateToken(at, entry.APIToken, entry.APITokenSOPS, &resp.Diagnostics)
		validateAccess(at, entry.Access, entry.BaseURL, true, &resp.Diagnostics)
		if entry.APIToken.IsNull() && entry.APITokenSOPS.IsNull() {
			resp.Diagnostics.AddAttributeError(at, "Plane without an API token", fmt.Sprintf(
				"%s has neither api_token nor api_token_sops: set one of them. The environment stands in for the default plane only.", at))
		}
	}
}

// validateToken refuses two tokens for one plane. at leads to the plane. One that is
// unknown yet may be null.
func validateToken(at path.Path, plain types.String, sops types.Object, diags *diag.Diagnostics) {
	if !tfkit.IsSet(plain) || !tfkit.IsSet(sops) {
		return
	}
	first, second := at.AtName("api_token"), at.AtName("api_token_sops")
	for _, one := range []path.Path{first, second} {
		diags.AddAttributeError(one, "Two API tokens for one plane", fmt.Sprintf(
			"Both %s and %s are set, and nothing says which one counts: leave one of them out.", first, second))
	}
}

func validateURL(at path.Path, raw types.String, insecure types.Bool, diags *diag.Diagnostics) {
	if raw.IsNull() || raw.IsUnknown() || insecure.IsUnknown() {
		return
	}
	if raw.ValueString() == "" {
		diags.AddAttributeError(at, "Invalid base_url", "The URL is empty: leave base_url out to use the default.")
		return
	}
	if err := checkBaseURL(raw.ValueString(), insecure.ValueBool()); err != nil {
		// The error begins with the attribute's name; the path tells of which plane.
		diags.AddAttributeError(at, "Invalid base_url", fmt.Sprintf("%s %s.", at, strings.TrimPrefix(err.Error(), "base_url ")))
	}
}

// Configure works out each plane's settings. It never uses the network and never
// fails for a named plane: what is wrong with one is reported where it is used.
func (p *hybridge) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	refuseUnknown(map[string]attr.Value{
		"api_token": m.APIToken, "account_id": m.AccountID, "base_url": m.BaseURL, "insecure_http": m.InsecureHTTP, "region": m.Region,
		"planes": m.Planes, "api_token_sops": whole(m.APITokenSOPS), "access": whole(m.Access), "requests_per_second": m.RequestsPerSecond, "max_retries": m.MaxRetries,
		"request_timeout": m.RequestTimeout, "user_agent_suffix": m.UserAgentSuffix,
	}, &resp.Diagnostics)
	entries := m.planes(ctx, &resp.Diagnostics)
	identities := p.identities(ctx, m.SOPS, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}

	secrets := sealed.NewStore(identities)
	limits := limitsFrom(m)
	limits.secrets = secrets
	limits.userAgent = userAgent(p.version, req.TerraformVersion, m.UserAgentSuffix.ValueString())
	open := map[string]func() (*tfkit.Plane, error){
		tfkit.DefaultPlane: func() (*tfkit.Plane, error) {
			return limits.open(tfkit.DefaultPlane, p.defaultSettings(m), func(name string) string {
				return fmt.Sprintf("%s of the provider block (or the environment variable %s)", name, environment(name))
			})
		},
	}
	for name, entry := range entries {
		open[name] = func() (*tfkit.Plane, error) {
			return limits.open(name, entry.settings(name), func(attribute string) string {
				return fmt.Sprintf("planes[%q].%s of the provider block", name, attribute)
			})
		}
	}

	data := tfkit.NewData(open, secrets)
	resp.ResourceData = data
	resp.DataSourceData = data
	resp.EphemeralResourceData = data
	resp.ActionData = data
	resp.ActionData = data
	resp.ListResourceData = data
}

// environment names the variable that stands in for an attribute of the default
// plane.
func environment(attribute string) string {
	switch attribute {
	case "api_token":
		return envToken
	case "account_id":
		return envAccount
	default:
		return envBaseURL
	}
}

// refuseUnknown adds an error for each unknown value. Treating one as not set
// would let the environment stand in for it, and so plan against another account.
func refuseUnknown(values map[string]attr.Value, diags *diag.Diagnostics) {
	for name, v := range values {
		if v.IsUnknown() {
			diags.AddAttributeError(path.Root(name), "Provider setting is not known yet", fmt.Sprintf(
				"%s depends on something that is only known after apply, so nothing can be planned with it. Create what it "+
					"depends on first (terraform apply -target=...), take it from a variable, or leave it out to use the environment.", name))
		}
	}
}

// whole is an object as unknown as its members are.
func whole(v types.Object) attr.Value {
	for _, member := range v.Attributes() {
		if object, ok := member.(types.Object); ok {
			member = whole(object)
		}
		if member.IsUnknown() {
			return member
		}
	}
	return v
}

// defaultSettings are the provider block's own settings, with the environment
// for what it leaves out.
func (p *hybridge) defaultSettings(m model) settings {
	pick := func(v types.String, env string) string {
		if !v.IsNull() {
			return v.ValueString()
		}
		return p.getenv(env)
	}
	s := settings{
		token:        pick(m.APIToken, envToken),
		accountID:    pick(m.AccountID, envAccount),
		baseURL:      pick(m.BaseURL, envBaseURL),
		region:       m.Region.ValueString(),
		insecureHTTP: m.InsecureHTTP.ValueBool(),
	}
	if !m.APITokenSOPS.IsNull() { // explicit, so it goes before the environment
		s.token = ""
		s.sealedToken, s.problem = tokenAt(m.APITokenSOPS, "api_token_sops of the provider block", tfkit.CheckAPIToken)
	}
	if a, err := accessAt(m.Access, "access of the provider block"); err != nil {
		s.problem = err
	} else if a != nil { // explicit, so it goes before the environment
		s.access = a
	} else if found, err := cloudflare.AccessFromEnvironment(s.baseURL, p.getenv); err != nil {
		s.problem = err
	} else if found != nil {
		s.access = &access{clientID: found.ClientID, secret: found.ClientSecret}
	}
	if m.APIToken.IsNull() && m.APITokenSOPS.IsNull() && s.token != "" {
		if err := tfkit.CheckAPIToken(s.token); err != nil {
			s.problem = fmt.Errorf("the environment variable %s: %w", envToken, err)
		}
	}
	if m.BaseURL.IsNull() && s.baseURL != "" {
		if err := checkBaseURL(s.baseURL, s.insecureHTTP); err != nil {
			s.problem = fmt.Errorf("the environment variable %s: %w", envBaseURL, err)
		}
	}
	return s
}

// settings are the settings of the plane called name. An unknown member is a
// problem of this plane alone.
func (e planeModel) settings(name string) settings {
	for attribute, v := range map[string]attr.Value{
		"api_token": e.APIToken, "api_token_sops": whole(e.APITokenSOPS), "access": whole(e.Access), "account_id": e.AccountID, "base_url": e.BaseURL, "region": e.Region, "insecure_http": e.InsecureHTTP,
	} {
		if v.IsUnknown() {
			return settings{problem: fmt.Errorf("planes[%q].%s of the provider block is only known after apply; create what it "+
				"depends on first (terraform apply -target=...) or take it from a variable", name, attribute)}
		}
	}
	s := settings{
		baseURL: e.BaseURL.ValueString(), accountID: e.AccountID.ValueString(), token: e.APIToken.ValueString(),
		region: e.Region.ValueString(), insecureHTTP: e.InsecureHTTP.ValueBool(),
	}
	s.sealedToken, s.problem = tokenAt(e.APITokenSOPS, fmt.Sprintf("planes[%q].api_token_sops of the provider block", name), tfkit.CheckAPIToken)
	if a, err := accessAt(e.Access, fmt.Sprintf("planes[%q].access of the provider block", name)); err != nil {
		s.problem = err
	} else {
		s.access = a
	}
	return s
}

// limitsFrom returns what the provider block says for all planes. Validators have
// already looked at the values.
func limitsFrom(m model) limits {
	l := limits{requestsPerSecond: m.RequestsPerSecond.ValueFloat64()}
	if !m.MaxRetries.IsNull() {
		n := int(m.MaxRetries.ValueInt64())
		l.maxRetries = &n
	}
	if d, err := time.ParseDuration(m.RequestTimeout.ValueString()); err == nil {
		l.requestTimeout = d
	}
	return l
}
