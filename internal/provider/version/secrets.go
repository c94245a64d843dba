// SPDX-License-Identifier: MPL-2.0

package version

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// secretPath is the attribute of one secret.
func secretPath(name, attribute string) path.Path {
	return path.Root("secrets").AtMapKey(name).AtName(attribute)
}

// secrets decodes the entries of secrets, in order of name. An entry, or its
// members, may be unknown; known is false if the map itself is.
func (m model) secrets(ctx context.Context, diags *diag.Diagnostics) (names []string, entries map[string]secretModel, known bool) {
	if m.Secrets.IsUnknown() {
		return nil, nil, false
	}
	entries = map[string]secretModel{}
	for name, element := range m.Secrets.Elements() {
		var s secretModel
		if element.IsUnknown() {
			s = secretModel{
				SopsFile: types.StringUnknown(), Key: types.StringUnknown(), ValueWO: types.StringUnknown(), ValueWOVersion: types.StringUnknown(),
			}
		} else if object, ok := element.(types.Object); ok {
			diags.Append(object.As(ctx, &s, basetypes.ObjectAsOptions{})...)
		}
		entries[name] = s
		names = append(names, name)
	}
	slices.Sort(names)
	return names, entries, true
}

// checkSecrets refuses secrets that can never work. It opens no file. m MUST be
// the configuration: only there are write-only values.
func (m model) checkSecrets(ctx context.Context, diags *diag.Diagnostics) {
	names, entries, _ := m.secrets(ctx, diags)
	for _, name := range names {
		entries[name].check(name, diags)
	}
}

// check refuses only what is wrong whatever the unknown members turn out to be: a
// module hands on both sops_file and value_wo, and one of them is null. Terraform
// validates again once it knows.
func (s secretModel) check(name string, diags *diag.Diagnostics) {
	file, value := tfkit.IsSet(s.SopsFile), tfkit.IsSet(s.ValueWO)
	refuse := func(attribute, text string) {
		diags.AddAttributeError(secretPath(name, attribute), "Invalid secret", fmt.Sprintf("secrets[%q]: %s", name, text))
	}
	switch {
	case file && value:
		refuse("value_wo", "sops_file and value_wo are both set: keep one of them.")
	case file && tfkit.IsSet(s.ValueWOVersion):
		refuse("value_wo_version", "value_wo_version belongs to value_wo: what sops_file refers to has a digest of its own. Remove it.")
	case s.SopsFile.IsNull() && s.ValueWO.IsNull():
		refuse("sops_file", "it has no value. Set sops_file and key, or value_wo and value_wo_version.")
	case value && tfkit.IsSet(s.Key):
		refuse("key", "key is a place in a SOPS file and means nothing for value_wo: remove it.")
	case value && s.ValueWOVersion.IsNull():
		refuse("value_wo_version", "value_wo needs value_wo_version, e.g. \"1\": Terraform does not keep the value, so only another value_wo_version tells "+
			"that it changed.")
	case value && s.ValueWO.ValueString() == "":
		refuse("value_wo", "the value is empty.")
	case file && !s.Key.IsUnknown():
		s.checkKey(refuse)
	}
}

// checkKey looks at a key path without the file.
func (s secretModel) checkKey(refuse func(attribute, text string)) {
	file, key := s.SopsFile.ValueString(), s.Key.ValueString()
	switch {
	case file == "":
		refuse("sops_file", "the path is empty.")
	case key == "" && sealed.FormatOf(file) != sealed.Binary:
		refuse("key", "key is missing: name the value within the file, e.g. key = \"db.password\".")
	default:
		if _, err := sealed.ParsePath(key); err != nil {
			refuse("key", err.Error()+".")
		}
	}
}

// secretDigests identifies each secret without its value. It needs no key. known
// is false while something that a digest is made from is unknown.
func (m model) secretDigests(ctx context.Context, store *sealed.Store, diags *diag.Diagnostics) (digests map[string]string, known bool) {
	names, entries, known := m.secrets(ctx, diags)
	digests = map[string]string{}
	for _, name := range names {
		s := entries[name]
		switch {
		case s.SopsFile.IsUnknown() || s.Key.IsUnknown() || s.ValueWOVersion.IsUnknown():
			known = false
		case !s.SopsFile.IsNull():
			digest, err := s.ciphertextDigest(store)
			if err != nil {
				diags.Append(s.failed(name, err))
				continue
			}
			digests[name] = digest
		case !s.ValueWOVersion.IsNull():
			digests[name] = versionDigest(name, s.ValueWOVersion.ValueString())
		default:
			// A value that validation could not see yet, e.g. of a variable, was null.
			diags.AddAttributeError(secretPath(name, "sops_file"), "Invalid secret", fmt.Sprintf(
				"secrets[%q]: it has no value. Set sops_file and key, or value_wo and value_wo_version.", name))
		}
	}
	return digests, known
}

func (s secretModel) ciphertextDigest(store *sealed.Store) (string, error) {
	key, err := sealed.ParsePath(s.Key.ValueString())
	if err != nil {
		return "", err
	}
	f, err := store.File(s.SopsFile.ValueString(), "")
	if err != nil {
		return "", err
	}
	if err := f.Scalar(key); err != nil {
		return "", err
	}
	return f.Digest(key)
}

// versionDigest identifies a write-only value by its name and by what the user
// calls its version. A hash of the value itself could be guessed from.
func versionDigest(name, version string) string {
	sum := sha256.Sum256([]byte("value_wo_version\n" + name + "\n" + version))
	return hex.EncodeToString(sum[:])
}

// failed is what is wrong with the file or the key of a secret, at the attribute
// that says which. The text names the secret: of a member of a map Terraform shows
// no path.
func (s secretModel) failed(name string, err error) diag.Diagnostic {
	at := secretPath(name, "sops_file")
	if tfkit.AboutKey(err) {
		at = secretPath(name, "key")
	}
	d := tfkit.SealedFailed(at, err)
	return diag.NewAttributeErrorDiagnostic(at, d.Summary(), fmt.Sprintf("secrets[%q]: %s", name, d.Detail()))
}

func (m *model) setSecretDigests(ctx context.Context, digests map[string]string, diags *diag.Diagnostics) {
	m.SecretDigests = types.MapNull(types.StringType)
	if len(digests) > 0 {
		value, d := types.MapValueFrom(ctx, types.StringType, digests)
		diags.Append(d...)
		m.SecretDigests = value
	}
}

// secretBindings opens every secret and returns them as bindings, or adds an
// error: also if a file is no longer what was planned. config is where the
// write-only values are. The values go into the upload alone.
func (m model) secretBindings(ctx context.Context, store *sealed.Store, config model, diags *diag.Diagnostics) (bindings map[string]json.RawMessage, values []string) {
	digests, _ := m.secretDigests(ctx, store, diags)
	if diags.HasError() {
		return nil, nil
	}
	planned := mapOf(ctx, m.SecretDigests, diags)
	names, entries, _ := config.secrets(ctx, diags)
	bindings = map[string]json.RawMessage{}
	for _, name := range names {
		s := entries[name]
		if digests[name] != planned[name] {
			diags.AddAttributeError(secretPath(name, "sops_file"), "Secret changed since the plan", fmt.Sprintf(
				"secrets[%q]: what stands in %s is no longer what was planned. Nothing was uploaded: plan again.", name, s.SopsFile.ValueString()))
			continue
		}
		value, err := s.open(ctx, store)
		if err != nil {
			diags.Append(s.failed(name, err))
			continue
		}
		if value.Empty() {
			diags.AddAttributeError(secretPath(name, "value_wo"), "Invalid secret", fmt.Sprintf("secrets[%q]: the value is empty.", name))
			continue
		}
		bindings[name] = jsonObject(map[string]any{"type": "secret_text", "text": value.Reveal()})
		values = append(values, value.Reveal())
	}
	return bindings, values
}

func (s secretModel) open(ctx context.Context, store *sealed.Store) (sealed.Secret, error) {
	if s.SopsFile.IsNull() {
		return sealed.NewSecret(s.ValueWO.ValueString()), nil
	}
	key, err := sealed.ParsePath(s.Key.ValueString())
	if err != nil {
		return sealed.Secret{}, err
	}
	return store.Secret(ctx, s.SopsFile.ValueString(), "", key)
}

// keptSecrets are inherit bindings for the secrets of the live version that the
// upload does not name, and what that version says of the secrets it carries. Of a
// split deployment the largest share counts.
func keptSecrets(ctx context.Context, client *cloudflare.Client, worker string, named map[string]json.RawMessage) (
	kept map[string]json.RawMessage, carried []string, err error,
) {
	live, err := client.LiveDeployment(ctx, worker)
	if err != nil || live == nil {
		if cloudflare.IsNotFound(err) {
			err = nil
		}
		return nil, nil, err
	}
	share := slices.MaxFunc(live.Versions, func(a, b cloudflare.Share) int {
		switch {
		case a.Percentage < b.Percentage:
			return -1
		case a.Percentage > b.Percentage:
			return 1
		default:
			return 0
		}
	})
	v, err := client.Version(ctx, worker, share.VersionID)
	if err != nil {
		return nil, nil, err
	}
	kept = map[string]json.RawMessage{}
	for _, raw := range v.Bindings {
		var b struct{ Name, Type string }
		if json.Unmarshal(raw, &b) != nil || !slices.Contains(secretKinds, b.Type) {
			continue
		}
		if _, ok := named[b.Name]; !ok {
			kept[b.Name] = jsonObject(map[string]any{"type": "inherit", "version_id": share.VersionID})
		}
	}
	if len(kept) > 0 {
		carried = cloudflare.ParseMarker(v.Annotations[cloudflare.AnnotationMessage]).Secrets
	}
	return kept, carried, nil
}

// uniqueMarker marks a version that nobody may adopt: with it go secrets that its
// digest knows nothing of.
func uniqueMarker() (string, error) {
	var random [sha256.Size]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", errors.New("no random numbers are to be had")
	}
	return cloudflare.DigestMarker(random), nil
}
