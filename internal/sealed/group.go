// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/azkv"
	"github.com/getsops/sops/v3/gcpkms"
	"github.com/getsops/sops/v3/hckms"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/kms"
	"github.com/getsops/sops/v3/pgp"
)

// group is a set of keys each of which opens the same part of the data key. A
// file with one group needs one key; one with several needs as many groups as its
// threshold says.
type group []keys.MasterKey

// keyKinds are the kinds of keys in the order in which they are tried: what works
// without a network comes first.
var keyKinds = []string{
	age.KeyTypeIdentifier, pgp.KeyTypeIdentifier, kms.KeyTypeIdentifier, gcpkms.KeyTypeIdentifier,
	azkv.KeyTypeIdentifier, hcvault.KeyTypeIdentifier, hckms.KeyTypeIdentifier,
}

// readGroups reads the keys of a file. Those of a single group stand in the
// metadata itself.
func readGroups(meta object) ([]group, error) {
	single, err := readGroup(meta)
	if err != nil {
		return nil, err
	}
	if len(single) > 0 {
		return []group{single}, nil
	}
	var groups []group
	for _, entry := range objectsOf(meta, "key_groups") {
		g, err := readGroup(entry)
		if err != nil {
			return nil, err
		}
		if len(g) == 0 {
			return nil, fail(BadMetadata, "a key group has no keys")
		}
		groups = append(groups, g)
	}
	if len(groups) == 0 {
		return nil, fail(BadMetadata, "it names no keys")
	}
	return groups, nil
}

func readGroup(o object) (group, error) {
	var g group
	for _, kind := range keyKinds {
		for _, entry := range objectsOf(o, kind) {
			key, err := readKey(kind, entry)
			if err != nil {
				return nil, err
			}
			g = append(g, key)
		}
	}
	return g, nil
}

// kmsARN is what a file may say about a key at AWS. The SDK makes a host name of
// the region, so with any text in its place the file could say to whom requests
// with the user's credentials go.
var kmsARN = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]+:(key|alias)/\S+$`)

func readKey(kind string, o object) (keys.MasterKey, error) {
	text := func(name string) string { return textOf(o, name) }
	created, _ := time.Parse(time.RFC3339, text("created_at"))
	enc := text("enc")
	if enc == "" {
		return nil, fail(BadMetadata, "a key of kind %s has no enc", kind)
	}
	switch kind {
	case age.KeyTypeIdentifier:
		return &age.MasterKey{Recipient: text("recipient"), EncryptedKey: enc}, nil
	case pgp.KeyTypeIdentifier:
		return &pgp.MasterKey{Fingerprint: text("fp"), EncryptedKey: enc, CreationDate: created}, nil
	case kms.KeyTypeIdentifier:
		if !kmsARN.MatchString(text("arn")) {
			return nil, fail(BadMetadata, "the arn of an AWS KMS key cannot be read")
		}
		key := kms.NewMasterKeyWithProfile(text("arn"), text("role"), nil, text("aws_profile"))
		key.EncryptedKey, key.CreationDate = enc, created
		if context, ok := valueOf(o, "context").(object); ok {
			key.EncryptionContext = map[string]*string{}
			for _, m := range context {
				value, _ := textValue(m.value)
				key.EncryptionContext[m.name] = &value
			}
		}
		return key, nil
	case gcpkms.KeyTypeIdentifier:
		return &gcpkms.MasterKey{ResourceID: text("resource_id"), EncryptedKey: enc, CreationDate: created}, nil
	case azkv.KeyTypeIdentifier:
		return &azkv.MasterKey{VaultURL: text("vault_url"), Name: text("name"), Version: text("version"), EncryptedKey: enc, CreationDate: created}, nil
	case hcvault.KeyTypeIdentifier:
		if !vaultNames(text("engine_path"), text("key_name")) {
			return nil, fail(BadMetadata, "the engine_path or key_name of a Vault key cannot be one")
		}
		return &hcvault.MasterKey{
			VaultAddress: text("vault_address"), EnginePath: text("engine_path"), KeyName: text("key_name"), EncryptedKey: enc, CreationDate: created,
		}, nil
	default:
		key, err := hckms.NewMasterKey(text("key_id"))
		if err != nil {
			return nil, fail(BadMetadata, "the key_id of a Huawei Cloud key cannot be read")
		}
		key.EncryptedKey, key.CreationDate = enc, created
		return key, nil
	}
}

// vaultNames reports whether these are an engine and a key of Vault. Else a file
// could send the request, with its token, to any other path of the server.
func vaultNames(engine, key string) bool {
	for _, step := range append(strings.Split(strings.Trim(engine, "/"), "/"), key) {
		if step == "" || step == "." || step == ".." || strings.ContainsAny(step, `/\?#%`) || !printable(step) {
			return false
		}
	}
	return true
}

// describe names a key as its owner knows it.
func describe(key keys.MasterKey) string {
	if key.TypeToIdentifier() == age.KeyTypeIdentifier {
		return key.ToString() // age1... or ssh-ed25519 ... say what they are
	}
	return key.TypeToIdentifier() + " " + key.ToString()
}

// recipients lists who can open the groups.
func recipients(groups []group) []string {
	var out []string
	for _, g := range groups {
		for _, key := range g {
			if name := describe(key); !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

func listed(names []string) string {
	const most = 8
	var out []string
	for _, name := range names[:min(most, len(names))] {
		out = append(out, shortened(name))
	}
	if len(names) > most {
		out = append(out, "...")
	}
	return strings.Join(out, ", ")
}

// shortened makes a text of a file fit for a message: such a file may be hostile,
// and the message goes to a terminal.
func shortened(text string) string {
	const most = 200
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	if !printable(text) {
		return strconv.Quote(text)
	}
	return text
}
