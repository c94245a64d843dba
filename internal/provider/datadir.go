// SPDX-License-Identifier: MPL-2.0

package provider

import "github.com/hashicorp/terraform-plugin-framework/diag"

// envDataDir makes terraform-plugin-go write every message of the protocol into
// files, before and after the provider sees it: tokens and write-only values
// too.
const envDataDir = "TF_LOG_SDK_PROTO_DATA_DIR"

// refuseDataDir adds an error if the messages of the protocol are written to
// files. The first with a secret would be the request of ValidateProviderConfig,
// and that is written before the provider is asked; so the schema, which Terraform
// asks for before everything else and without sending a value, is refused. The
// framework repeats its errors in ValidateProviderConfig and ConfigureProvider.
func (p *hybridge) refuseDataDir(diags *diag.Diagnostics) {
	if p.getenv(envDataDir) != "" {
		diags.AddError("Secrets would be written to files", "The environment variable "+envDataDir+" is set, which makes the plugin SDK write "+
			"all values into files in the clear, among them API tokens, decrypted secrets and write-only arguments. Unset it. "+
			"TF_LOG_PROVIDER=DEBUG shows what the provider asks of planes, without values.")
	}
}
