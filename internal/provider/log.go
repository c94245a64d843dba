// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-log/tflog"
)

// wireLogger writes what the client says about the wire to Terraform's log. The
// client has already removed what may not be seen.
type wireLogger struct{}

func (wireLogger) Debug(ctx context.Context, msg string, fields map[string]any) {
	tflog.Debug(ctx, msg, fields)
}
