// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	fage "filippo.io/age"
	"filippo.io/age/agessh"
	"github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/logging"
	"github.com/getsops/sops/v3/pgp"
)

// keyTimeout bounds the question to one key service. Without credentials the
// clients of some clouds wait much longer for a metadata server.
const keyTimeout = 30 * time.Second

// Identities say with what files are opened. The zero value opens nothing.
type Identities struct {
	// AgeKeyFile is a file of age identities, or one SSH private key. It MUST be
	// regular, owned by the user and closed to everybody else.
	AgeKeyFile string
	// AgeKey holds age identities, one in each line.
	AgeKey Secret
	// GnuPGHome is the directory of GnuPG's keys.
	GnuPGHome string
	// VaultAllowlist are the addresses of Vault servers that may be sent a token.
	// A file names the server, so whoever can change a file could else collect it.
	// The element "all" allows every server.
	VaultAllowlist []string
	// Environment also uses what SOPS itself looks at: its variables and key
	// files, and the credentials of cloud SDKs, Vault and GnuPG. Keys of these
	// kinds work with it alone.
	Environment bool
	// Pending, if not empty, says which of these is not known yet. Then nothing is
	// opened: with what is known, another identity could stand in for it.
	Pending string
}

// keyring is Identities that were looked at once.
type keyring struct {
	ids Identities

	once sync.Once
	age  age.ParsedIdentities
	err  error // what is wrong with the explicit age identities
}

// explicit returns the age identities that were given explicitly.
func (k *keyring) explicit() (age.ParsedIdentities, error) {
	k.once.Do(func() {
		if !k.ids.AgeKey.Empty() {
			if k.err = importIdentities(&k.age, []byte(k.ids.AgeKey.Reveal())); k.err != nil {
				return
			}
		}
		if path := k.ids.AgeKeyFile; path != "" {
			text, err := ReadKeyFile(path)
			if err == nil {
				err = importIdentities(&k.age, text)
			}
			if err != nil {
				k.err = located(err, KeyFileBad, path, "")
			}
		}
	})
	return k.age, k.err
}

// CheckAgeKey reports what is wrong with a text of age identities.
func CheckAgeKey(text Secret) error {
	var ignored age.ParsedIdentities
	return importIdentities(&ignored, []byte(text.Reveal()))
}

// importIdentities reads lines of age identities, or one SSH private key.
func importIdentities(into *age.ParsedIdentities, text []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN ")) {
		id, err := agessh.ParseIdentity(text)
		if err != nil {
			return &Error{Code: KeyFileBad}
		}
		*into = append(*into, id)
		return nil
	}
	var trimmed []string
	for line := range strings.SplitSeq(string(text), "\n") {
		trimmed = append(trimmed, strings.TrimSpace(line))
	}
	before := len(*into)
	if err := into.Import(trimmed...); err != nil || len(*into) == before {
		return &Error{Code: KeyFileBad} // the error can quote the line
	}
	return nil
}

// dataKey opens the data key of a file.
func (k *keyring) dataKey(ctx context.Context, groups []group, threshold int, combine func([][]byte) ([]byte, error)) ([]byte, error) {
	if k.ids.Pending != "" {
		return nil, fail(IdentityPending, "%s; recipients: %s", k.ids.Pending, listed(recipients(groups)))
	}
	silence()
	var parts [][]byte
	var problems []string
	for _, g := range groups {
		part, why, err := k.openGroup(ctx, g)
		if err != nil {
			return nil, err
		}
		if part != nil {
			parts = append(parts, part)
		}
		problems = append(problems, why...)
		if len(parts) == threshold {
			break
		}
	}
	if len(parts) < threshold {
		return nil, k.noIdentity(groups, len(parts), threshold, problems)
	}
	if len(groups) == 1 {
		return parts[0], nil
	}
	key, err := combine(parts)
	if err != nil {
		return nil, fail(BadMetadata, "the parts of the data key do not fit together")
	}
	return key, nil
}

func (k *keyring) noIdentity(groups []group, got, threshold int, problems []string) *Error {
	e := fail(NoIdentity, "recipients: %s", listed(recipients(groups)))
	if len(groups) > 1 {
		e = fail(NoIdentity, "%d of %d key groups opened, %d are needed; recipients: %s", got, len(groups), threshold, listed(recipients(groups)))
	}
	e.Detail += "; looked at: " + k.looked()
	if len(problems) > 0 {
		e.Detail += "; " + strings.Join(slices.Compact(problems), "; ")
	}
	return e
}

// looked says which identities were at hand.
func (k *keyring) looked() string {
	var at []string
	if k.ids.AgeKeyFile != "" {
		at = append(at, k.ids.AgeKeyFile)
	}
	if !k.ids.AgeKey.Empty() {
		at = append(at, "the identities given as text")
	}
	if k.ids.GnuPGHome != "" {
		at = append(at, k.ids.GnuPGHome)
	}
	if k.ids.Environment {
		at = append(at, "what SOPS finds in the environment")
	}
	if len(at) == 0 {
		return "nothing, as the environment is switched off and no identity is named"
	}
	return strings.Join(at, ", ")
}

// openGroup tries the keys in order. why holds fixed texts about those that could
// not even be tried.
func (k *keyring) openGroup(ctx context.Context, g group) (part []byte, why []string, err error) {
	for _, key := range g {
		if ctx.Err() != nil {
			return nil, nil, fail(NoIdentity, "the attempt was given up")
		}
		part, reason, err := k.open(ctx, key)
		if err != nil || part != nil {
			return part, nil, err
		}
		if reason != "" {
			why = append(why, reason)
		}
	}
	return nil, why, nil
}

// open returns nil without an error if this key cannot be opened. An error is
// about something that the user has to mend first.
func (k *keyring) open(ctx context.Context, key keys.MasterKey) (part []byte, reason string, err error) {
	if key, ok := key.(*age.MasterKey); ok {
		return k.openAge(ctx, key)
	}
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	switch key := key.(type) {
	case *pgp.MasterKey:
		return k.openPGP(ctx, key)
	case *hcvault.MasterKey:
		if !k.vaultAllowed(key.VaultAddress) {
			return nil, "the Vault server " + shortened(hostOf(key.VaultAddress)) + " is not in vault_allowlist", nil
		}
	}
	if !k.ids.Environment {
		return nil, key.TypeToIdentifier() + " keys need credentials from the environment, which is switched off", nil
	}
	part, reason = asked(ctx, key)
	return part, reason, nil
}

func (k *keyring) openAge(ctx context.Context, key *age.MasterKey) ([]byte, string, error) {
	explicit, err := k.explicit()
	missing := ""
	if CodeOf(err) == KeyFileMissing {
		missing = "the key file " + k.ids.AgeKeyFile + " " + whyMissing(err) // then whoever has a key is of interest
	} else if err != nil {
		return nil, "", err
	}
	// The file, which others may open with other identities, keeps its key as it is.
	if len(explicit) > 0 {
		own := &age.MasterKey{Recipient: key.Recipient, EncryptedKey: key.EncryptedKey}
		explicit.ApplyToMasterKey(own)
		if part, _ := asked(ctx, own); part != nil {
			return part, "", nil
		}
	}
	if !k.ids.Environment {
		return nil, missing, nil
	}
	if err := checkUsualKeyFiles(); err != nil {
		return nil, "", err
	}
	bare := &age.MasterKey{Recipient: key.Recipient, EncryptedKey: key.EncryptedKey}
	if part, _ := asked(ctx, bare); part != nil {
		return part, "", nil
	}
	return nil, missing, nil
}

func (k *keyring) openPGP(ctx context.Context, key *pgp.MasterKey) ([]byte, string, error) {
	switch {
	case k.ids.Environment:
	case k.ids.GnuPGHome == "":
		return nil, "PGP keys need gnupg_home", nil
	case os.Getenv(pgp.SopsGpgExecEnv) != "":
		return nil, pgp.SopsGpgExecEnv + " is set, but the environment is switched off", nil
	}
	own := *key
	if k.ids.GnuPGHome != "" {
		pgp.GnuPGHome(k.ids.GnuPGHome).ApplyToMasterKey(&own)
	}
	// Without GnuPG the library would ask for the passphrase on standard output,
	// which is where the provider speaks to Terraform.
	pgp.DisableOpenPGP{}.ApplyToMasterKey(&own)
	part, why := asked(ctx, &own)
	return part, why, nil
}

// silence switches off the logs of the key packages: they write to standard error,
// and texts that are not ours.
var silence = sync.OnceFunc(func() {
	for _, logger := range logging.Loggers {
		logger.SetOutput(io.Discard)
	}
})

// asked opens a key with what its library asks: a program, a service, somebody at
// the terminal. why is a fixed text about a key that does not open.
func asked(ctx context.Context, key keys.MasterKey) (part []byte, why string) {
	decrypt := key.Decrypt
	if c, ok := key.(interface {
		DecryptContext(context.Context) ([]byte, error)
	}); ok {
		decrypt = func() ([]byte, error) { return c.DecryptContext(ctx) }
	}
	// Some heed no context. They end by themselves, or with the process.
	done := make(chan func() ([]byte, error), 1)
	go func() {
		part, err := decrypt()
		done <- func() ([]byte, error) { return part, err }
	}()
	var err error
	select {
	case result := <-done:
		part, err = result()
	case <-ctx.Done():
		err = ctx.Err()
	}
	switch {
	case err == nil:
		return part, ""
	case errors.Is(err, context.DeadlineExceeded):
		return nil, "no answer in time about " + shortened(describe(key))
	default:
		return nil, shortened(describe(key)) + " did not open"
	}
}

// vaultAllowed compares origins, and the path by whole segments.
func (k *keyring) vaultAllowed(address string) bool {
	if slices.Contains(k.ids.VaultAllowlist, "all") {
		return true
	}
	wanted, err := url.Parse(address)
	if err != nil || wanted.Host == "" || wanted.User != nil || wanted.RawQuery != "" || wanted.Fragment != "" ||
		slices.Contains(strings.Split(wanted.Path, "/"), "..") {
		return false
	}
	return slices.ContainsFunc(k.ids.VaultAllowlist, func(entry string) bool {
		allowed, err := url.Parse(entry)
		return err == nil && allowed.Scheme == wanted.Scheme && strings.EqualFold(allowed.Host, wanted.Host) &&
			strings.HasPrefix(strings.TrimSuffix(wanted.Path, "/")+"/", strings.TrimSuffix(allowed.Path, "/")+"/")
	})
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "(of an unreadable address)"
	}
	return u.Scheme + "://" + u.Host
}

// checkUsualKeyFiles holds the key files that SOPS finds by itself to the same
// rules as one that is named.
func checkUsualKeyFiles() error {
	var files []string
	for _, name := range []string{age.SopsAgeKeyFileEnv, age.SopsAgeSshPrivateKeyFileEnv} {
		if path := os.Getenv(name); path != "" {
			files = append(files, path)
		}
	}
	dir, err := os.UserConfigDir()
	if xdg := os.Getenv("XDG_CONFIG_HOME"); xdg != "" && runtime.GOOS == "darwin" {
		dir, err = xdg, nil // as SOPS has it
	}
	if err == nil {
		files = append(files, filepath.Join(dir, filepath.FromSlash(age.SopsAgeKeyUserConfigPath)))
	}
	for _, path := range files {
		if err := checkExposure(path); err != nil && CodeOf(err) != KeyFileMissing {
			return err
		}
	}
	return nil
}

// NewAgeKey makes an age identity: the text of a key file, and its recipient.
func NewAgeKey(now time.Time) (file Secret, recipient string, err error) {
	id, err := fage.GenerateX25519Identity()
	if err != nil {
		return Secret{}, "", &Error{Code: CannotEncrypt, Detail: "no random numbers"}
	}
	recipient = id.Recipient().String()
	return NewSecret("# created: " + now.UTC().Format(time.RFC3339) + "\n# public key: " + recipient + "\n" + id.String() + "\n"), recipient, nil
}
