// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// Address is the provider's address in the registry.
const Address = "registry.terraform.io/hybridge/hybridge"

// Server returns a function that makes protocol 6 servers of the provider. Tests
// use it too, so that they see what Terraform sees.
func Server(version string, getenv func(string) string) func() tfprotov6.ProviderServer {
	return func() tfprotov6.ProviderServer {
		return tfkit.Recovering(providerserver.NewProtocol6(New(version, getenv))())
	}
}
