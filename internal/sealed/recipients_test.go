// SPDX-License-Identifier: MPL-2.0

package sealed_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

const (
	someARN         = "arn:aws:kms:eu-central-1:111122223333:key/00000000-1111-2222-3333-444444444444"
	someGCPKey      = "projects/p/locations/global/keyRings/r/cryptoKeys/k"
	someVaultKey    = "https://vault.example.com/v1/transit/keys/app"
	someFingerprint = "85D77543B3D624B63CEA9E6DBC17301B491B3F21"
)

func TestTheFirstFittingRuleSaysWhoMayOpen(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	other := newWorkshop(t).recipient
	config := w.write(".sops.yaml", `
stores: {yaml: {indent: 2}}
creation_rules:
  - path_regex: ^prod/
    age: >-
      `+w.recipient+`,
      `+other+`
  - path_regex: groups
    shamir_threshold: 2
    key_groups:
      - age: [`+w.recipient+`]
        hc_vault: [`+someVaultKey+`]
      - merge:
          - age: [`+other+`]
          - pgp: [`+someFingerprint+`]
  - path_regex: all
    age: [`+w.recipient+`]
    pgp: `+someFingerprint+`
    kms: `+someARN+`
    gcp_kms: `+someGCPKey+`
    azure_keyvault: https://v.vault.azure.net/keys/k/1
    hc_vault_transit_uri: `+someVaultKey+`
    hckms: ['cn-north-1:00000000-1111-2222-3333-444444444444']
  - path_regex: bad
    age: nobody
  - path_regex: nobody
    unencrypted_suffix: _x
  - path_regex: map
    key_groups: [{kms: [{arn: x}]}]
`)
	for target, want := range map[string][]string{
		"prod/a.yaml": {w.recipient, other},
		"groups.yaml": {w.recipient, "hc_vault " + someVaultKey, other, "pgp " + someFingerprint},
		"all.yaml": {
			w.recipient, "pgp " + someFingerprint, "kms " + someARN, "gcp_kms " + someGCPKey, "azure_kv https://v.vault.azure.net/keys/k/1",
			"hc_vault " + someVaultKey, "hckms cn-north-1:00000000-1111-2222-3333-444444444444",
		},
	} {
		got, err := sealed.RuleFor(config, w.path(target))
		if sealed.CodeOf(err) == sealed.BadCreationRule {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Names()); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", target, err, diff)
		}
	}
	if _, err := sealed.RuleFor(w.path("none"), w.path("a.yaml")); sealed.CodeOf(err) != sealed.Unreadable {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		rules string
		want  sealed.Code
	}{
		"no rules":        {"{}", sealed.NoCreationRule},
		"none fits":       {"creation_rules: [{path_regex: ^x$, age: " + w.recipient + "}]", sealed.NoCreationRule},
		"no YAML":         {"creation_rules: [", sealed.BadCreationRule},
		"bad regex":       {"creation_rules: [{path_regex: '(', age: " + w.recipient + "}]", sealed.BadCreationRule},
		"no recipient":    {"creation_rules: [{encrypted_regex: a}]", sealed.NoRecipients},
		"bad recipient":   {"creation_rules: [{age: nobody}]", sealed.RecipientBad},
		"bad vault":       {"creation_rules: [{hc_vault_transit_uri: nowhere}]", sealed.RecipientBad},
		"keys with parts": {"creation_rules: [{key_groups: [{kms: [{arn: x}]}]}]", sealed.BadCreationRule},
	} {
		file := w.write("rules.yaml", c.rules)
		_, err := sealed.RuleFor(file, w.path("a.yaml"))
		if sealed.CodeOf(err) != c.want {
			t.Errorf("%s: code %q, want %q: %v", name, sealed.CodeOf(err), c.want, err)
		}
	}
}

func TestTheConfigurationIsTheNearestOne(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	deep := w.path("a/b/c")
	must(t, os.MkdirAll(deep, 0o700))
	must(t, os.Mkdir(filepath.Join(deep, sealed.ConfigName), 0o700)) // is none
	want := w.write("a/"+sealed.ConfigName, "")
	if got := sealed.FindConfig(deep); got != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

// Rules that leave values in the clear are for files that people write; Seal
// holds secrets alone.
func TestWhatCannotBeSealed(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	to, err := sealed.AgeRecipients(w.recipient)
	if err != nil {
		t.Fatal(err)
	}
	w.write(".sops.yaml", "creation_rules: [{age: "+w.recipient+", encrypted_comment_regex: secret}]")
	inTheClear, err := sealed.RuleFor(w.path(".sops.yaml"), w.path("a.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := newCanary(t)
	entry := func(names ...string) (out []sealed.Entry) {
		for _, name := range names {
			out = append(out, sealed.Entry{Name: name, Value: sealed.NewSecret(text)})
		}
		return out
	}
	for name, c := range map[string]struct {
		format  sealed.Format
		entries []sealed.Entry
		to      sealed.Recipients
		want    sealed.Code
	}{
		"INI":               {sealed.INI, entry("a"), to, sealed.Unsupported},
		"binary":            {sealed.Binary, entry("a"), to, sealed.Unsupported},
		"no format":         {"", entry("a"), to, sealed.Unsupported},
		"no name":           {sealed.YAML, entry(""), to, sealed.CannotEncrypt},
		"its own name":      {sealed.JSON, entry("sops"), to, sealed.CannotEncrypt},
		"no dotenv name":    {sealed.Dotenv, entry("a=b"), to, sealed.CannotEncrypt},
		"a dotenv comment":  {sealed.Dotenv, entry("#a"), to, sealed.CannotEncrypt},
		"dotenv metadata":   {sealed.Dotenv, entry("sops_mac"), to, sealed.CannotEncrypt},
		"twice":             {sealed.YAML, entry("a", "b", "a"), to, sealed.CannotEncrypt},
		"no UTF-8":          {sealed.JSON, entry("a\xff"), to, sealed.CannotEncrypt},
		"clear by its name": {sealed.YAML, entry("a_unencrypted"), to, sealed.Unsupported},
		"clear by a rule":   {sealed.YAML, entry("a"), inTheClear, sealed.Unsupported},
		"for nobody":        {sealed.YAML, entry("a"), sealed.Recipients{}, sealed.NoRecipients},
	} {
		out, err := sealed.Seal("file", c.format, c.entries, c.to, time.Now())
		if sealed.CodeOf(err) != c.want || out != nil {
			t.Errorf("%s: code %q, want %q: %v", name, sealed.CodeOf(err), c.want, err)
		}
		mustNotShow(t, err, text)
	}
	if _, err := sealed.AgeRecipients(); sealed.CodeOf(err) != sealed.NoRecipients {
		t.Error(err)
	}
}

// A value that only looks encrypted, where the rules say that it is not, is never
// taken for a secret.
func TestACiphertextThatNothingDecryptsIsPlain(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	fake := "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]"
	w.encrypt("a.yaml", "a: value\nb_unencrypted: "+fake+"\n")
	f := w.parse("a.yaml")
	if err := f.Scalar(path(t, "b_unencrypted")); sealed.CodeOf(err) != sealed.NotEncrypted {
		t.Error(err)
	}
	if _, err := f.Digest(path(t, "b_unencrypted")); sealed.CodeOf(err) != sealed.NotEncrypted {
		t.Error(err)
	}
	if got := strings.Join(f.Keys(), " "); got != "a b_unencrypted" {
		t.Errorf("keys %q", got)
	}
	if _, err := w.store().Open(t.Context(), f); err != nil {
		t.Error(err)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	for _, file := range []string{w.path("none.yaml"), w.dir} {
		for _, read := range []func() error{
			func() error { _, err := sealed.Read(file, sealed.YAML); return err },
			func() error { _, err := w.store().File(file, sealed.YAML); return err },
		} {
			if err := read(); sealed.CodeOf(err) != sealed.Unreadable {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if _, err := sealed.Parse("a", "toml", nil); sealed.CodeOf(err) != sealed.Unsupported {
		t.Error(err)
	}
}
