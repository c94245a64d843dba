// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// markerPrefix names the format. A new format takes a new number.
	markerPrefix = "hb1:"
	// disposablePrefix is that of a version which its maker may delete. It is part
	// of the marker, so that who may not adopt such a version does not find it.
	disposablePrefix = "hb1d:"
	// digestLen is 128 bits in base64url without padding.
	digestLen = 22

	// MaxMessageBytes is where Cloudflare truncates workers/message (documented
	// with the field; it was 100 before 2026). The marker stands first, so that
	// it survives truncation by an older plane.
	MaxMessageBytes = 1000

	// maxRunValue keeps one strange environment from eating the user's message.
	maxRunValue = 128

	// secretPrefixLen is the length of a secret's prefix: 36 bits in base64url.
	secretPrefixLen = 6
	// maxSecrets is as many as a Worker can have bindings.
	maxSecrets = 128
)

// Run says where an apply runs.
type Run struct {
	ID        string
	Workspace string
	Commit    string
}

// RolloutMark says which part of a rollout a deployment is.
type RolloutMark struct {
	ID string // first 8 hex digits of the rollout's id
	// Share is the percentage of the new version in this step, as it is written
	// ("10", "0.5"); empty for a deployment that ends a rollout by going back.
	Share string
	// Rejects is the id of the version that this deployment goes back from, because a
	// gate refused it or somebody said so: it is not to be tried again unasked.
	Rejects string
	Gate    string // the gate that refused it, if one did
	// Back is the value of rollback_to that this deployment carries out, where that means
	// something else after it than before: "previous". Who is told to do so once more, because
	// the answer or the state got lost, has to see that it is done.
	Back string
}

// Marking is a message as Hybridge writes it.
type Marking struct {
	Marker  string // "hb1:" or "hb1d:" and 22 characters; empty if the message is not ours
	Rollout RolloutMark
	Run     Run
	// Secrets are the SecretPrefix of each secret that the version declares, sorted,
	// each once. Beyond 128 they are not written.
	Secrets []string
	Message string // the user's part; the whole if the message is not ours
}

// SecretPrefix is how a version says that it carries the secret with this
// digest, a SHA-256 in hex; empty if it is none. It finds versions after a leak:
// two digests may share a prefix, and no more is told than that one.
func SecretPrefix(digestHex string) string {
	sum, err := hex.DecodeString(digestHex)
	if err != nil || len(sum) != sha256.Size {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sum)[:secretPrefixLen]
}

// HasSecret reports whether the version says that it carries a secret with this
// digest. Another digest of the same prefix is taken for it.
func (m Marking) HasSecret(digestHex string) bool {
	prefix := SecretPrefix(digestHex)
	return prefix != "" && slices.Contains(m.Secrets, prefix)
}

// DigestMarker is the marker of a version with this digest: the first 128 bits
// of a SHA-256, given as bytes.
func DigestMarker(sum [sha256.Size]byte) string {
	return markerPrefix + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// DisposableMarker is the form of a version's marker that says: its maker may
// delete it, so only who agrees to that adopts it. Versions never change, hence
// the mark is made with the version or never.
func DisposableMarker(marker string) string {
	return disposablePrefix + strings.TrimPrefix(marker, markerPrefix)
}

// adoptable lists the markers of the versions that stand for one which would be
// marked so, the best first. One that nobody may delete serves everybody; a
// disposable one only who would have made a disposable one.
func adoptable(marker string) []string {
	if digest, ok := strings.CutPrefix(marker, disposablePrefix); ok {
		return []string{markerPrefix + digest, marker}
	}
	return []string{marker}
}

// DeploymentMarker is the marker of a deployment of these shares. Their order
// does not matter.
func DeploymentMarker(shares []Share) string {
	parts := make([]string, len(shares))
	for i, s := range shares {
		parts[i] = s.VersionID + "=" + strconv.FormatFloat(s.Percentage, 'f', -1, 64)
	}
	slices.Sort(parts)
	return DigestMarker(sha256.Sum256([]byte(strings.Join(parts, ","))))
}

// markKeys is the order in which a message tells about its rollout and its run. What
// decides whether a version is tried again comes first, so that it survives truncation.
var markKeys = [...]string{"ro", "st", "rej", "gate", "back", "run", "ws", "sha"}

// marks are the values of markKeys.
func (m *Marking) marks() [len(markKeys)]*string {
	return [...]*string{&m.Rollout.ID, &m.Rollout.Share, &m.Rollout.Rejects, &m.Rollout.Gate, &m.Rollout.Back, &m.Run.ID, &m.Run.Workspace, &m.Run.Commit}
}

// secretsKey stands before the prefixes of secrets, which follow each other
// without anything between them.
const secretsKey = "sec"

// String writes the marking, cut to MaxMessageBytes at the end of the user's
// message. The secrets are never cut: what of the run does not fit beside them is
// left out.
func (m Marking) String() string {
	var b strings.Builder
	b.WriteString(m.Marker)
	secrets := m.writtenSecrets()
	for i, v := range m.marks() {
		if *v == "" {
			continue
		}
		element := " " + markKeys[i] + "=" + url.PathEscape(cut(*v, maxRunValue))
		if secrets == "" || b.Len()+len(element)+len(secrets) <= MaxMessageBytes {
			b.WriteString(element)
		}
	}
	b.WriteString(secrets)
	if m.Message != "" {
		b.WriteString(" ")
		if looksLikeRun(m.Message) {
			b.WriteString("| ") // else reading it back would take it for ours
		}
		b.WriteString(m.Message)
	}
	return cut(b.String(), MaxMessageBytes)
}

func (m Marking) writtenSecrets() string {
	if len(m.Secrets) == 0 {
		return ""
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(m.Secrets)))
	return " " + secretsKey + "=" + strings.Join(sorted[:min(len(sorted), maxSecrets)], "")
}

// readSecrets takes the prefixes off the beginning of text. What does not
// consist of whole ones is the user's.
func readSecrets(text string) (secrets []string, rest string) {
	value, ok := strings.CutPrefix(text, secretsKey+"=")
	if !ok {
		return nil, text
	}
	value, rest, _ = strings.Cut(value, " ")
	if value == "" || len(value)%secretPrefixLen != 0 || strings.ContainsFunc(value, notBase64URL) {
		return nil, text
	}
	for prefix := range slices.Chunk([]byte(value), secretPrefixLen) {
		secrets = append(secrets, string(prefix))
	}
	return secrets, rest
}

func notBase64URL(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_'
}

func looksLikeRun(message string) bool {
	if strings.HasPrefix(message, "| ") || strings.HasPrefix(message, secretsKey+"=") {
		return true
	}
	for _, k := range markKeys {
		if strings.HasPrefix(message, k+"=") {
			return true
		}
	}
	return false
}

// ParseMarker takes a message apart. A message without a marker of ours is all
// the user's.
func ParseMarker(message string) Marking {
	m := Marking{Marker: leadingMarker(message)}
	if m.Marker == "" {
		return Marking{Message: message}
	}
	rest := strings.TrimPrefix(message[len(m.Marker):], " ")
	for i, into := range m.marks() {
		value, ok := strings.CutPrefix(rest, markKeys[i]+"=")
		if !ok {
			continue
		}
		value, rest, _ = strings.Cut(value, " ")
		if plain, err := url.PathUnescape(value); err == nil {
			value = plain
		}
		*into = value
	}
	m.Secrets, rest = readSecrets(rest)
	m.Message = strings.TrimPrefix(rest, "| ")
	return m
}

// leadingMarker is the marker of ours that the message starts with; empty if
// there is none.
func leadingMarker(message string) string {
	for _, prefix := range [...]string{markerPrefix, disposablePrefix} {
		n := len(prefix) + digestLen
		if !strings.HasPrefix(message, prefix) || len(message) < n || (len(message) > n && message[n] != ' ') {
			continue
		}
		if _, err := base64.RawURLEncoding.DecodeString(message[len(prefix):n]); err == nil {
			return message[:n]
		}
	}
	return ""
}

// cut shortens s to at most n bytes, never inside a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// RunFromEnvironment finds out where this apply runs, from the variables of HCP
// Terraform, GitHub Actions or GitLab CI; empty elsewhere.
func RunFromEnvironment(getenv func(string) string) Run {
	switch {
	case getenv("TFC_RUN_ID") != "":
		return Run{
			ID:        getenv("TFC_RUN_ID"),
			Workspace: getenv("TFC_WORKSPACE_NAME"),
			Commit:    getenv("TFC_CONFIGURATION_VERSION_GIT_COMMIT_SHA"),
		}
	case getenv("GITHUB_ACTIONS") == "true":
		return Run{
			ID:        getenv("GITHUB_RUN_ID"),
			Workspace: firstSet(getenv("TF_WORKSPACE"), getenv("GITHUB_REPOSITORY")),
			Commit:    getenv("GITHUB_SHA"),
		}
	case getenv("GITLAB_CI") != "":
		return Run{
			ID:        getenv("CI_PIPELINE_ID"),
			Workspace: firstSet(getenv("TF_WORKSPACE"), getenv("CI_PROJECT_PATH")),
			Commit:    getenv("CI_COMMIT_SHA"),
		}
	}
	return Run{}
}

func firstSet(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
