// SPDX-License-Identifier: MPL-2.0

package function

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var _ function.Function = keys{}

type keys struct{}

// NewSOPSKeys makes the function sops_keys.
func NewSOPSKeys() function.Function { return keys{} }

func (keys) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "sops_keys"
}

func (keys) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "List what a SOPS file has, without a key",
		MarkdownDescription: "Returns the key paths of all values of a SOPS file, encrypted or not, in the order of the file: e.g. `db.password`, `hosts.0.token`. " +
			"SOPS leaves names in the clear, so nothing is decrypted. Each path can be given to `sops_fingerprint` and wherever a `key` is asked for.",
		Parameters: []function.Parameter{textParameter()},
		Return:     function.ListReturn{ElementType: types.StringType},
	}
}

func (keys) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var text string
	if resp.Error = req.Arguments.Get(ctx, &text); resp.Error != nil {
		return
	}
	file, failure := parse(text)
	if failure != nil {
		resp.Error = failure
		return
	}
	found := file.Keys()
	if found == nil {
		found = []string{}
	}
	resp.Error = resp.Result.Set(ctx, found)
}
