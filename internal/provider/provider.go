// SPDX-License-Identifier: MPL-2.0

// Package provider is the Terraform provider's root: its schema, its
// configuration, and the lists of what it offers. Each kind of object lives in a
// package of its own below.
package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	tffunction "github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/deployment"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/function"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/hostname"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/network"
	planedata "github.com/hybridge/terraform-provider-hybridge/internal/provider/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/sops"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tunnel"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/version"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/vpcservice"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/worker"
)

var (
	_ provider.Provider                       = (*hybridge)(nil)
	_ provider.ProviderWithValidateConfig     = (*hybridge)(nil)
	_ provider.ProviderWithEphemeralResources = (*hybridge)(nil)
	_ provider.ProviderWithFunctions          = (*hybridge)(nil)
	_ provider.ProviderWithActions            = (*hybridge)(nil)
	_ provider.ProviderWithListResources      = (*hybridge)(nil)
)

// hybridge is the provider. It keeps nothing: what Configure makes goes into the
// response.
type hybridge struct {
	version string
	getenv  func(string) string
}

// New returns the provider. version is shown to planes in the User-Agent; getenv
// is os.Getenv outside tests.
func New(version string, getenv func(string) string) provider.Provider {
	return &hybridge{version: version, getenv: getenv}
}

func (p *hybridge) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "hybridge"
	resp.Version = p.version
}

func (p *hybridge) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = providerSchema()
	p.refuseDataDir(&resp.Diagnostics)
}

func (p *hybridge) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{
		worker.NewResource,
		version.NewResource,
		deployment.NewResource(p.getenv),
		tunnel.NewResource,
		tunnel.NewConnectedResource,
		hostname.NewResource,
		network.NewRoute,
		network.NewVirtualNetwork,
		vpcservice.NewResource,
	}
}

func (p *hybridge) ListResources(context.Context) []func() list.ListResource {
	return []func() list.ListResource{
		tunnel.NewListResource,
	}
}

func (p *hybridge) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{
		worker.NewDataSource,
		version.NewDataSource,
		deployment.NewDataSource,
		planedata.NewDataSource,
		tunnel.NewHealthDataSource,
		hostname.NewZoneDataSource,
	}
}

func (p *hybridge) EphemeralResources(context.Context) []func() ephemeral.EphemeralResource {
	return []func() ephemeral.EphemeralResource{
		sops.NewEphemeralResource,
		tunnel.NewTokenResource,
	}
}

func (p *hybridge) Actions(context.Context) []func() action.Action {
	return []func() action.Action{
		deployment.NewRollbackAction(p.getenv),
		deployment.NewPromoteAction(p.getenv),
		tunnel.NewRotateAction,
	}
}

func (p *hybridge) Functions(context.Context) []func() tffunction.Function {
	return []func() tffunction.Function{
		function.NewSOPSFingerprint,
		function.NewSOPSKeys,
		function.NewAgentFiles,
	}
}
