// SPDX-License-Identifier: MPL-2.0

package function

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/agentfiles"
)

var _ function.Function = agentFiles{}

type agentFiles struct{}

// NewAgentFiles makes the function agent_files.
func NewAgentFiles() function.Function { return agentFiles{} }

func (agentFiles) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "agent_files"
}

func (agentFiles) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary:             "Render the files that make a machine a Hybridge agent",
		MarkdownDescription: agentFilesDescription,
		Parameters: []function.Parameter{function.DynamicParameter{
			Name:                "machine",
			MarkdownDescription: "What the machine is to run, as an object: `format`, which is `1`, and the attributes above that it needs. Attributes that there are not are refused.",
		}},
		Return: function.MapReturn{ElementType: types.StringType},
	}
}

func (agentFiles) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var machine types.Dynamic
	if resp.Error = req.Arguments.Get(ctx, &machine); resp.Error != nil {
		return
	}
	input, known := plain(machine)
	if !known { // Terraform does not call then; whoever does gets the same answer
		resp.Error = resp.Result.Set(ctx, types.MapUnknown(types.StringType))
		return
	}
	files, err := agentfiles.Render(input)
	if err != nil {
		resp.Error = function.NewArgumentFuncError(0, err.Error())
		return
	}
	resp.Error = resp.Result.Set(ctx, files)
}

// plain makes plain Go of a value of any type, as agentfiles takes it. known is false if
// anything in it is unknown.
func plain(value attr.Value) (_ any, known bool) {
	switch {
	case value == nil || value.IsNull():
		return nil, true
	case value.IsUnknown():
		return nil, false
	}
	switch v := value.(type) {
	case types.Dynamic:
		return plain(v.UnderlyingValue())
	case types.Object:
		return plainMap(v.Attributes())
	case types.Map:
		return plainMap(v.Elements())
	case types.List:
		return plainList(v.Elements())
	case types.Set:
		return plainList(v.Elements())
	case types.Tuple:
		return plainList(v.Elements())
	case types.String:
		return v.ValueString(), true
	case types.Bool:
		return v.ValueBool(), true
	case types.Number:
		f, _ := v.ValueBigFloat().Float64()
		return f, true
	default:
		return value, true // agentfiles says that it is of the wrong type
	}
}

func plainMap(members map[string]attr.Value) (any, bool) {
	out, all := make(map[string]any, len(members)), true
	for name, member := range members {
		v, known := plain(member)
		out[name], all = v, all && known
	}
	return out, all
}

func plainList(elements []attr.Value) (any, bool) {
	out, all := make([]any, len(elements)), true
	for i, element := range elements {
		v, known := plain(element)
		out[i], all = v, all && known
	}
	return out, all
}

const agentFilesDescription = "Returns the content of the files that make a Linux machine with systemd (252 or newer) a Hybridge agent, by name:\n\n" +
	"| file | |\n|---|---|\n" +
	"| `install.sh` | installs everything, the files below included, and may be repeated: `sudo sh install.sh`. Checks each download's SHA-256, and changes nothing before that |\n" +
	"| `cloud-init.yaml` | user data of a new machine, which runs `install.sh` at its first boot |\n" +
	"| `agent.yaml` | the agent's configuration |\n" +
	"| `hybridge-agent.service` | a hardened unit |\n" +
	"| `hybridge-agent.socket` | holds the ports of the ingress open while the agent restarts; only with `ingress` |\n\n" +
	"The bytes depend on the argument alone, never on the provider's version: an upgrade does not change the user data of machines, and so does not replace them. " +
	"What a format renders stays as it is; a later format is chosen by its number.\n\n" +
	"No file holds a secret, and no attribute takes one. Each secret has a name, under which the machine is given it apart from Terraform: `tunnel-NAME` for a connector (or `api-NAME`), `health-token`, " +
	"`webhook-NAME`. `install.sh` says which are missing and how to bring them, and the guide _A machine of your own_ shows it from a SOPS file.\n\n" +
	"The attributes, laid out as in `agent.yaml`:\n\n" +
	"* `format` (required): `1`.\n" +
	"* `region`: where the machine is, as the provider's `planes` say it.\n" +
	"* `plane`: the machine runs a self-hosted plane; `{}` for one that is as usual.\n" +
	"  * `listen`: where its API listens: `unix:///run/hybridge/api.sock` (the default), or a loopback address and port, which a tunnel leads to.\n" +
	"  * `allow_egress`: private address ranges that Workers may reach.\n" +
	"* `ingress`: where Workers answer; needs `plane`.\n" +
	"  * `listen`: list of `{ address, tls }`; plain HTTP on loopback only. Default: `127.0.0.1:8787`.\n" +
	"  * `certificates`: names; `app` stands for `/etc/hybridge/tls/app.crt` and `app.key`, which you put there.\n" +
	"  * `zones`: host names with their Workers by zone: `{ \"example.com\" = { \"app.example.com\" = \"api\" } }`.\n" +
	"* `connectors`: connectors of tunnels by name.\n" +
	"  * `tunnel_id` (required).\n" +
	"  * `account_id`: account of the tunnel. With it the agent asks the API for the tunnel's token itself, with the API token `api-NAME` that may write tunnels, and notices a rotation within a minute. Default: it is given the token as `tunnel-NAME`.\n" +
	"  * `base_url`: API of the plane that has the tunnel; with `account_id`. Default: Cloudflare's.\n" +
	"  * `metrics`: loopback address and port of cloudflared's metrics. Default: a free port.\n" +
	"* `health`: `listen`, where the health endpoint listens: a unix socket (the default) or a loopback address and port, which needs the secret `health-token`.\n" +
	"* `alerts`: `webhooks` (URLs by name), `certificate_expiry` (e.g. `336h`), `disk_free` (e.g. `10%`).\n" +
	"* `log_level`: `trace`, `debug`, `info` (the default), `warn`, `error` or `off`.\n" +
	"* `programs` (required): `hybridge`; `workerd` with a plane; `cloudflared` with connectors. Each is installed from a release, or is on the machine already.\n" +
	"  * `version`: there is no default, and nothing stands for the latest one.\n" +
	"  * `sha256`: checksum of the download by architecture: `{ amd64 = \"…\", arm64 = \"…\" }`.\n" +
	"  * `url`: where to download it instead of its maker's releases on GitHub; `{version}` and `{arch}` are replaced. A `.tar.gz` has the program in it, a `.gz` is it.\n" +
	"  * `path`: where it lies, instead of the three above.\n" +
	"* `unit`: `memory_max` (e.g. `2G`), and `load`, how secrets come to the agent:\n" +
	"  * `sops`: tokens of tunnels lie in the machine's SOPS file, under `tunnel-NAME` or `api-NAME`; the agent opens it with its age identity, which systemd hands it, and again when it changes. The rest as with `encrypted`.\n" +
	"  * `encrypted` (the default): systemd decrypts `/etc/credstore.encrypted/NAME` with the machine's TPM or host key.\n" +
	"  * `plain`: systemd reads `/etc/credstore/NAME`.\n" +
	"  * `files`: the agent reads `/etc/hybridge/credentials/NAME`, and again when it changes, so that a tunnel's token is rotated without a restart."
