// SPDX-License-Identifier: MPL-2.0

package bundle_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hybridge/terraform-provider-hybridge/internal/bundle"
)

func digest(t interface {
	Helper()
	Fatal(...any)
}, c bundle.Content) string {
	t.Helper()
	d, err := c.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The golden values are the promise of "hb1": a change of any of them makes a
// new version of every Worker of every user. Never update them; make "hb2".
func TestDigestsNeverChange(t *testing.T) {
	t.Parallel()
	full := bundle.Content{
		CodeSHA256: "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
		Bindings: map[string]json.RawMessage{
			"TEXT": json.RawMessage(`{"type":"plain_text","text":"<ä>"}`),
			"JSON": json.RawMessage(`{"type":"json","json":{"b":1.50,"a":[true,null]}}`),
		},
		CompatibilityDate: "2026-11-01", CompatibilityFlags: []string{"b", "a"},
		Placement: json.RawMessage(`{"mode":"smart"}`), Limits: json.RawMessage(`{"cpu_ms":50}`),
		AssetsSHA256: "aa", SecretDigests: map[string]string{"KEY": "bb"},
	}
	project := entry(tree(t, app))
	project.Define = map[string]string{"A": "1"}
	for name, tc := range map[string]struct{ got, want string }{
		"empty":     {digest(t, bundle.Content{}), "e19a058768df8703f959210e47f0831be855e1b967ae7a469ac93dc9128d6968"},
		"full":      {digest(t, full), "4509f2bab81f4c4c72f7bd635d7872ab9cab6b274dc146e1181a0c0113714d88"},
		"script":    {inspect(t, bundle.Script{Text: "export default {}"}).SHA256, "d12c401e07dcbd49469aa700f4900c0fd0aa3986f4a355c4ebf4214e484c339b"},
		"directory": {inspect(t, bundle.Directory{Path: tree(t, built), Main: "index.js"}).SHA256, "8c39e99686be39c95cb510668fe5dd85e8171efc16a795394ed6de36626a6379"},
		"project":   {inspect(t, project).SHA256, "75abf67288a9a46623d60d3310b81b5530d60d04b4c91b381f741087d6a3eeb1"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %s, want %s", name, tc.got, tc.want)
		}
	}
}

func drawContent(t *rapid.T) bundle.Content {
	word := rapid.StringMatching(`[A-Za-z_]{1,8}`)
	value := rapid.Custom(func(t *rapid.T) json.RawMessage {
		text, err := json.Marshal(rapid.MapOf(word, rapid.String()).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		return text
	})
	return bundle.Content{
		CodeSHA256:         rapid.StringMatching(`[0-9a-f]{64}`).Draw(t, "code"),
		Bindings:           rapid.MapOf(word, value).Draw(t, "bindings"),
		CompatibilityDate:  rapid.StringMatching(`20[0-9]{2}-[01][0-9]-[0-3][0-9]`).Draw(t, "date"),
		CompatibilityFlags: rapid.SliceOf(word).Draw(t, "flags"),
		Placement:          value.Draw(t, "placement"),
		Limits:             value.Draw(t, "limits"),
		AssetsSHA256:       word.Draw(t, "assets"),
		SecretDigests:      rapid.MapOf(word, word).Draw(t, "secrets"),
	}
}

func TestDigestKnowsNoOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawContent(t)
		want := digest(t, c)
		same := c
		same.CompatibilityFlags = slices.Clone(c.CompatibilityFlags)
		seed := rapid.Uint64().Draw(t, "seed")
		r := rand.New(rand.NewPCG(seed, 1))
		r.Shuffle(len(same.CompatibilityFlags), func(i, j int) {
			f := same.CompatibilityFlags
			f[i], f[j] = f[j], f[i]
		})
		same.CompatibilityFlags = append(same.CompatibilityFlags, c.CompatibilityFlags...) // each twice
		same.Bindings = map[string]json.RawMessage{}
		keys := slices.Collect(maps.Keys(c.Bindings))
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for _, k := range keys {
			var object map[string]any
			if err := json.Unmarshal(c.Bindings[k], &object); err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(object, "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			same.Bindings[k] = text
		}
		if got := digest(t, same); got != want {
			t.Fatalf("order or white space changed the digest of %+v", c)
		}
	})
}

func TestDigestFollowsEveryField(t *testing.T) {
	t.Parallel()
	changes := map[string]func(*bundle.Content){
		"code":            func(c *bundle.Content) { c.CodeSHA256 += "0" },
		"binding added":   func(c *bundle.Content) { c.Bindings["a new one"] = json.RawMessage(`{}`) },
		"binding renamed": func(c *bundle.Content) { rename(c.Bindings) },
		"binding changed": func(c *bundle.Content) { change(c.Bindings, json.RawMessage(`{"type":"another"}`)) },
		"binding removed": func(c *bundle.Content) { remove(c.Bindings) },
		"date":            func(c *bundle.Content) { c.CompatibilityDate = "2031-01-01" },
		"no date":         func(c *bundle.Content) { c.CompatibilityDate = "" },
		"flag added":      func(c *bundle.Content) { c.CompatibilityFlags = append(c.CompatibilityFlags, "a new one") },
		"placement":       func(c *bundle.Content) { c.Placement = json.RawMessage(`{"another": true}`) },
		"no placement":    func(c *bundle.Content) { c.Placement = nil },
		"limits":          func(c *bundle.Content) { c.Limits = json.RawMessage(`{"another": true}`) },
		"no limits":       func(c *bundle.Content) { c.Limits = nil },
		"limits as placement": func(c *bundle.Content) {
			c.Placement, c.Limits = json.RawMessage(`{"x":1}`), json.RawMessage(`{"y":1}`)
		},
		"assets":         func(c *bundle.Content) { c.AssetsSHA256 += "0" },
		"secret added":   func(c *bundle.Content) { c.SecretDigests["a new one"] = "x" },
		"secret rotated": func(c *bundle.Content) { change(c.SecretDigests, "another digest") },
	}
	rapid.Check(t, func(t *rapid.T) {
		c := drawContent(t)
		c.Bindings["ONE"] = json.RawMessage(`{"type":"plain_text","text":"x"}`)
		c.SecretDigests["ONE"] = "x"
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(changes))).Draw(t, "change")
		changed := c
		changed.Bindings, changed.SecretDigests = maps.Clone(c.Bindings), maps.Clone(c.SecretDigests)
		changed.CompatibilityFlags = slices.Clone(c.CompatibilityFlags)
		changes[name](&changed)
		if digest(t, changed) == digest(t, c) {
			t.Fatalf("%s keeps the digest of %+v", name, c)
		}
	})
}

func rename[V any](m map[string]V)      { m["ANOTHER name"] = m["ONE"]; delete(m, "ONE") }
func change[V any](m map[string]V, v V) { m["ONE"] = v }
func remove[V any](m map[string]V)      { delete(m, "ONE") }

func TestDigestRefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", "{} {}", "{}}", "nope"} {
		if _, err := (bundle.Content{Bindings: map[string]json.RawMessage{"A": json.RawMessage(text)}}).Digest(); err == nil {
			t.Errorf("%q was taken for JSON", text)
		}
	}
}
