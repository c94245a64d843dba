// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
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
	"go.yaml.in/yaml/v3"
)

// Recipients are who will be able to open a file, and which rules it gets.
type Recipients struct {
	groups    []group
	threshold int
	extra     object // members of the metadata: rules
}

// Names lists the recipients as File.Recipients does.
func (r Recipients) Names() []string { return recipients(r.groups) }

// AgeRecipients are age recipients: age1... or SSH public keys.
func AgeRecipients(texts ...string) (Recipients, error) {
	var g group
	for _, text := range texts {
		key, err := age.MasterKeyFromRecipient(text)
		if err != nil {
			return Recipients{}, badRecipient(text)
		}
		g = append(g, key)
	}
	if len(g) == 0 {
		return Recipients{}, &Error{Code: NoRecipients}
	}
	return Recipients{groups: []group{g}}, nil
}

// badRecipient quotes the text, unless it is the other half of the key.
func badRecipient(text string) *Error {
	if upper := strings.ToUpper(text); strings.Contains(upper, "AGE-SECRET-KEY") || strings.Contains(upper, "AGE-PLUGIN") || strings.Contains(upper, "PRIVATE") {
		return fail(RecipientBad, "it is a private key, whose recipient is wanted")
	}
	return fail(RecipientBad, "%s", strconv.Quote(shortened(text)))
}

// metadata encrypts the data key for everybody and writes the metadata of a new
// file, without MAC.
func (r Recipients) metadata(key []byte) (object, error) {
	if len(r.groups) == 0 {
		return nil, &Error{Code: NoRecipients}
	}
	threshold := r.threshold
	if threshold == 0 {
		threshold = len(r.groups)
	}
	silence()
	parts, err := split(key, len(r.groups), threshold)
	if err != nil {
		return nil, err
	}
	var written list
	for i, g := range r.groups {
		for _, k := range g {
			if k.Encrypt(parts[i]) != nil { // the error may quote more than its reader may see
				return nil, fail(CannotEncrypt, "%s", shortened(describe(k)))
			}
		}
		written = append(written, writeGroup(g))
	}
	if len(written) == 1 {
		o, _ := written[0].(object)
		return append(o, r.extra...), nil
	}
	return append(object{{name: "shamir_threshold", value: threshold}, {name: "key_groups", value: written}}, r.extra...), nil
}

// writeGroup is the inverse of readGroup.
func writeGroup(g group) object {
	var o object
	for _, kind := range keyKinds {
		var entries list
		for _, key := range g {
			if key.TypeToIdentifier() == kind {
				entries = append(entries, writeKey(key))
			}
		}
		if entries != nil {
			o = append(o, member{name: kind, value: entries})
		}
	}
	return o
}

func writeKey(key keys.MasterKey) object {
	enc := string(key.EncryptedDataKey())
	made := func(o object, created time.Time) object {
		return append(o, member{name: "created_at", value: created.UTC().Format(time.RFC3339)}, member{name: "enc", value: enc})
	}
	switch k := key.(type) {
	case *age.MasterKey:
		return object{{name: "recipient", value: k.Recipient}, {name: "enc", value: enc}}
	case *pgp.MasterKey:
		return made(object{{name: "fp", value: k.Fingerprint}}, k.CreationDate)
	case *kms.MasterKey:
		o := object{{name: "arn", value: k.Arn}}
		if k.Role != "" {
			o = append(o, member{name: "role", value: k.Role})
		}
		if len(k.EncryptionContext) > 0 {
			var context object
			for _, name := range slices.Sorted(maps.Keys(k.EncryptionContext)) {
				context = append(context, member{name: name, value: *k.EncryptionContext[name]})
			}
			o = append(o, member{name: "context", value: context})
		}
		return made(append(o, member{name: "aws_profile", value: k.AwsProfile}), k.CreationDate)
	case *gcpkms.MasterKey:
		return made(object{{name: "resource_id", value: k.ResourceID}}, k.CreationDate)
	case *azkv.MasterKey:
		return made(object{{name: "vault_url", value: k.VaultURL}, {name: "name", value: k.Name}, {name: "version", value: k.Version}}, k.CreationDate)
	case *hcvault.MasterKey:
		return made(object{{name: "vault_address", value: k.VaultAddress}, {name: "engine_path", value: k.EnginePath}, {name: "key_name", value: k.KeyName}}, k.CreationDate)
	case *hckms.MasterKey:
		return made(object{{name: "key_id", value: k.KeyID}}, k.CreationDate)
	default:
		return nil
	}
}

// ConfigName is the name of SOPS' configuration file.
const ConfigName = ".sops.yaml"

// texts is a text with commas, or a list of texts: SOPS takes both.
type texts []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *texts) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.SequenceNode {
		return node.Decode((*[]string)(t))
	}
	var text string
	if err := node.Decode(&text); err != nil {
		return err
	}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*t = append(*t, part)
		}
	}
	return nil
}

// creationRule is an entry of creation_rules. Of key groups, those of texts are
// read; keys with members of their own belong into files that the sops program
// makes.
type creationRule struct {
	ruleKeys   `yaml:",inline"`
	AWSProfile string     `yaml:"aws_profile"`
	Groups     []ruleKeys `yaml:"key_groups"`
	Threshold  int        `yaml:"shamir_threshold"`

	UnencryptedSuffix string `yaml:"unencrypted_suffix"`
	EncryptedSuffix   string `yaml:"encrypted_suffix"`
	UnencryptedRegex  string `yaml:"unencrypted_regex"`
	EncryptedRegex    string `yaml:"encrypted_regex"`
	MACOnly           bool   `yaml:"mac_only_encrypted"`

	UnencryptedComment string `yaml:"unencrypted_comment_regex"`
	EncryptedComment   string `yaml:"encrypted_comment_regex"`
}

type ruleKeys struct {
	Age     texts `yaml:"age"`
	PGP     texts `yaml:"pgp"`
	KMS     texts `yaml:"kms"`
	GCPKMS  texts `yaml:"gcp_kms"`
	AzureKV texts `yaml:"azure_keyvault"`
	Vault   texts `yaml:"hc_vault_transit_uri"`
	HCKMS   texts `yaml:"hckms"`

	// Key groups name Vault keys like this, and others may be merged into them.
	GroupVault texts      `yaml:"hc_vault"`
	Merge      []ruleKeys `yaml:"merge"`
}

// FindConfig looks for the configuration file in dir and above; empty if there
// is none.
func FindConfig(dir string) string {
	dir, err := filepath.Abs(dir)
	for err == nil {
		path := filepath.Join(dir, ConfigName)
		if info, statErr := os.Stat(path); statErr == nil && info.Mode().IsRegular() {
			return path
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	return ""
}

// RuleFor reads the configuration file and returns the recipients and rules that
// its first fitting creation rule gives to a file at target.
func RuleFor(config, target string) (Recipients, error) {
	text, err := os.ReadFile(config)
	if err != nil {
		return Recipients{}, unreadable(config, err)
	}
	var c struct {
		Rules []yaml.Node `yaml:"creation_rules"` // what is wrong with another rule does not matter
	}
	if yaml.Unmarshal(text, &c) != nil {
		return Recipients{}, &Error{Code: BadCreationRule, File: config}
	}
	from, err := filepath.Abs(filepath.Dir(config))
	if err != nil {
		return Recipients{}, unreadable(config, err)
	}
	absolute, err := filepath.Abs(target)
	if err != nil {
		return Recipients{}, unreadable(target, err)
	}
	relative, err := filepath.Rel(from, absolute)
	if err != nil {
		relative = absolute
	}
	for _, node := range c.Rules {
		var which struct {
			PathRegex string `yaml:"path_regex"`
		}
		bad := &Error{Code: BadCreationRule, File: config, Detail: fmt.Sprintf("line %d", node.Line)}
		if node.Decode(&which) != nil {
			return Recipients{}, bad
		}
		fits, err := regexp.MatchString(which.PathRegex, filepath.ToSlash(relative))
		if err != nil {
			return Recipients{}, bad
		}
		if !fits {
			continue
		}
		var rule creationRule
		if node.Decode(&rule) != nil {
			return Recipients{}, bad
		}
		r, err := rule.recipients()
		if err != nil {
			return Recipients{}, located(err, BadCreationRule, config, "")
		}
		return r, nil
	}
	return Recipients{}, &Error{Code: NoCreationRule, File: config, Detail: filepath.ToSlash(relative)}
}

func (c creationRule) recipients() (Recipients, error) {
	groups := c.Groups
	if len(groups) == 0 {
		groups = []ruleKeys{c.ruleKeys}
	}
	r := Recipients{threshold: c.Threshold}
	for _, keys := range groups {
		g, err := keys.group(c.AWSProfile)
		if err != nil {
			return r, err
		}
		if len(g) == 0 {
			return r, &Error{Code: NoRecipients}
		}
		r.groups = append(r.groups, g)
	}
	for _, m := range []struct{ name, value string }{
		{"unencrypted_suffix", c.UnencryptedSuffix}, {"encrypted_suffix", c.EncryptedSuffix},
		{"unencrypted_regex", c.UnencryptedRegex}, {"encrypted_regex", c.EncryptedRegex},
		{"unencrypted_comment_regex", c.UnencryptedComment}, {"encrypted_comment_regex", c.EncryptedComment},
	} {
		if m.value != "" {
			r.extra = append(r.extra, member{name: m.name, value: m.value})
		}
	}
	if c.MACOnly {
		r.extra = append(r.extra, member{name: "mac_only_encrypted", value: true})
	}
	return r, nil
}

func (k ruleKeys) group(awsProfile string) (group, error) {
	var g group
	for _, merged := range k.Merge {
		more, err := merged.group(awsProfile)
		if err != nil {
			return nil, err
		}
		g = append(g, more...)
	}
	for _, kind := range []struct {
		texts texts
		make  func(string) (keys.MasterKey, error)
	}{
		{k.Age, func(s string) (keys.MasterKey, error) { return age.MasterKeyFromRecipient(s) }},
		{k.PGP, func(s string) (keys.MasterKey, error) { return pgp.NewMasterKeyFromFingerprint(s), nil }},
		{k.KMS, func(s string) (keys.MasterKey, error) { return kms.NewMasterKeyFromArn(s, nil, awsProfile), nil }},
		{k.GCPKMS, func(s string) (keys.MasterKey, error) { return gcpkms.NewMasterKeyFromResourceID(s), nil }},
		{k.AzureKV, func(s string) (keys.MasterKey, error) { return azkv.NewMasterKeyFromURL(s) }},
		{append(k.Vault, k.GroupVault...), func(s string) (keys.MasterKey, error) { return hcvault.NewMasterKeyFromURI(s) }},
		{k.HCKMS, func(s string) (keys.MasterKey, error) { return hckms.NewMasterKey(s) }},
	} {
		for _, text := range kind.texts {
			key, err := kind.make(text)
			if err != nil {
				return nil, badRecipient(text)
			}
			g = append(g, key)
		}
	}
	return g, nil
}
