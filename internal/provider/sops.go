// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// envVaultAllowlist lists Vault servers for SOPS: addresses separated by commas,
// "all" or "none".
const envVaultAllowlist = "SOPS_HC_VAULT_ALLOWLIST"

// sopsModel is sops of the provider block.
type sopsModel struct {
	AgeKeyFile     types.String `tfsdk:"age_key_file"`
	AgeKey         types.String `tfsdk:"age_key"`
	EnvAllowed     types.Bool   `tfsdk:"env_allowed"`
	VaultAllowlist types.Set    `tfsdk:"vault_allowlist"`
	GnuPGHome      types.String `tfsdk:"gnupg_home"`
}

func sopsAttribute() schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		Optional: true,
		MarkdownDescription: "With what SOPS files are decrypted. Nothing is decrypted before a value is needed, so a plan that needs none needs no key. " +
			"A member that is unknown at plan breaks no plan either: until it is known, whatever has to be decrypted is an error, and nothing else stands in for it. " +
			"Default: what SOPS finds in the environment, see `env_allowed`.",
		Attributes: map[string]schema.Attribute{
			"age_key_file": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Path of a file of age identities, or of one SSH private key without a passphrase. It must be a regular file, no symbolic link, owned by you or root, " +
					"and give no rights to others (`chmod 600`): one that is there and does not is refused at once, one that is missing only where something has to be decrypted. Default: none.",
				Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"age_key": schema.StringAttribute{
				Optional:  true,
				Sensitive: true,
				MarkdownDescription: "Age identities as text, one in each line (`AGE-SECRET-KEY-1...`), or one SSH private key. Meant for an ephemeral value: Terraform does not store the provider block in the state, " +
					"but an ordinary variable that feeds it ends up in a saved plan file. Used beside `age_key_file`. Default: none.",
				Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"env_allowed": schema.BoolAttribute{
				Optional: true,
				MarkdownDescription: "Use what SOPS itself looks at: `SOPS_AGE_KEY`, `SOPS_AGE_KEY_FILE`, `SOPS_AGE_KEY_CMD`, `SOPS_AGE_SSH_PRIVATE_KEY_FILE`, `SOPS_AGE_SSH_PRIVATE_KEY_CMD`, " +
					"`~/.ssh/id_ed25519`, `~/.ssh/id_rsa`, `sops/age/keys.txt` in the user's configuration directory, `GNUPGHOME`, `SOPS_GPG_EXEC`, `VAULT_TOKEN`, `~/.vault-token`, " +
					"`" + envVaultAllowlist + "`, and the credentials of the cloud SDKs. `false` switches all of it off: then only `age_key_file`, `age_key` and `gnupg_home` decrypt, " +
					"and keys of AWS, Google Cloud, Azure, Huawei Cloud and Vault do not work. (The program `gpg` itself is still found as SOPS finds it.) Default: `true`.",
			},
			"vault_allowlist": schema.SetAttribute{
				Optional:    true,
				ElementType: types.StringType,
				MarkdownDescription: "Addresses of HashiCorp Vault servers that may be sent a Vault token, e.g. `https://vault.example.com`. A SOPS file names the server, so whoever can change a file could otherwise collect the token. " +
					"Where `" + envVaultAllowlist + "` is set as well, a server must be in both. Default: what that variable lists if `env_allowed`, else none.",
				Validators: []validator.Set{setvalidator.ValueStringsAre(tfkit.ServerURL())},
			},
			"gnupg_home": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Absolute path of the directory with GnuPG's keys, which must be closed to others (`chmod 700`). PGP keys are used with it even if `env_allowed` is `false`. " +
					"Default: that of the environment if `env_allowed`, else PGP keys are not used.",
				Validators: []validator.String{tfkit.AbsolutePath()},
			},
		},
	}
}

// identities are what sops of the provider block says, with the environment for
// what it leaves out and allows. A key file that is exposed, or holds no key, is refused
// here, however little the run needs it: it has to be replaced either way. A missing one is not,
// because a plan needs no key.
func (p *hybridge) identities(ctx context.Context, sops types.Object, diags *diag.Diagnostics) sealed.Identities {
	if sops.IsUnknown() {
		return sealed.Identities{Pending: pending("sops")}
	}
	var m sopsModel
	if !sops.IsNull() {
		diags.Append(sops.As(ctx, &m, basetypes.ObjectAsOptions{})...)
	}
	at := path.Root("sops")
	if file := m.AgeKeyFile.ValueString(); file != "" {
		err := sealed.CheckKeyFile(file)
		if strings.HasPrefix(file, "~") && sealed.CodeOf(err) == sealed.KeyFileMissing {
			diags.AddAttributeError(at.AtName("age_key_file"), "Key file is missing", "Terraform does not expand ~ in a path. Write pathexpand("+strconv.Quote(file)+").")
		} else if err != nil && sealed.CodeOf(err) != sealed.KeyFileMissing {
			diags.Append(tfkit.SealedFailed(at.AtName("age_key_file"), err))
		}
	}
	key := sealed.NewSecret(m.AgeKey.ValueString())
	if !key.Empty() && sealed.CheckAgeKey(key) != nil {
		diags.AddAttributeError(at.AtName("age_key"), "Key cannot be used", "The text holds no usable identity: it must be lines like AGE-SECRET-KEY-1..., "+
			"or one SSH private key without a passphrase.")
	}
	ids := sealed.Identities{
		AgeKeyFile: m.AgeKeyFile.ValueString(), AgeKey: key, GnuPGHome: m.GnuPGHome.ValueString(),
		Environment: m.EnvAllowed.IsNull() || m.EnvAllowed.ValueBool(),
	}
	if m.VaultAllowlist.IsNull() && ids.Environment {
		ids.VaultAllowlist = allowlistFrom(p.getenv(envVaultAllowlist))
	}
	for _, element := range m.VaultAllowlist.Elements() {
		if address, ok := element.(types.String); ok && !address.IsUnknown() {
			ids.VaultAllowlist = append(ids.VaultAllowlist, address.ValueString())
		}
	}
	ids.Pending = m.pending()
	return ids
}

// pending names a member that is not known yet; empty if there is none.
func (m sopsModel) pending() string {
	members := []struct {
		name  string
		value attr.Value
	}{
		{"age_key_file", m.AgeKeyFile}, {"age_key", m.AgeKey}, {"env_allowed", m.EnvAllowed},
		{"vault_allowlist", m.VaultAllowlist}, {"gnupg_home", m.GnuPGHome},
	}
	for _, member := range members {
		unknown := member.value.IsUnknown()
		if set, ok := member.value.(types.Set); ok {
			for _, element := range set.Elements() {
				unknown = unknown || element.IsUnknown()
			}
		}
		if unknown {
			return pending("sops." + member.name)
		}
	}
	return ""
}

func pending(attribute string) string {
	return fmt.Sprintf("%s of the provider block is only known after apply", attribute)
}

// allowlistFrom reads the variable as SOPS does.
func allowlistFrom(text string) []string {
	var list []string
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry != "" && entry != "none" {
			list = append(list, entry)
		}
	}
	return list
}
