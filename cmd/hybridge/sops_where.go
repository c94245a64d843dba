// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hybridge/terraform-provider-hybridge/internal/leak"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

type sopsWhereFlags struct {
	identities           identityFlags
	file, format, planes string
	json                 bool
}

// readable are the formats of files.
var readable = []sealed.Format{sealed.YAML, sealed.JSON, sealed.Dotenv, sealed.INI, sealed.Binary}

func newSopsWhere(p process) *cobra.Command {
	var f sopsWhereFlags
	cmd := &cobra.Command{
		Use:   "where {KEY --file FILE | DIGEST} [flags]",
		Short: "List the versions that carry a secret",
		Long: `List the planes, Workers and versions that carry a secret: for the hour after a
leak. No key is needed for the question, as a secret is known by the digest of its
ciphertext. KEY is a key path in FILE, like db.password; what was deployed from an
older revision of FILE has another digest: "-" reads one from stdin. A DIGEST is
that of secret_digests in Terraform's state: 64 hexadecimal digits.

Asked is the plane of CLOUDFLARE_BASE_URL, CLOUDFLARE_ACCOUNT_ID and
CLOUDFLARE_API_TOKEN, or all planes of a YAML file:

  paris:
    base_url: https://workers.paris.example.com/client/v4   # default: Cloudflare
    account_id: 0123456789abcdef0123456789abcdef
    api_token_sops: {file: paris.enc.yaml, key: api_token}
  edge:
    account_id: 0123456789abcdef0123456789abcdef
    api_token_env: EDGE_TOKEN
  here:
    base_url: unix:///run/hybridge/api.sock
    account_id: 0123456789abcdef0123456789abcdef
    api_token_env: HERE_TOKEN

One behind Cloudflare Access needs a service token as well:
access: {client_id: ..., client_secret_sops: {file: ..., key: ...}}, or
client_secret_env instead; for the plane of the environment it is
CLOUDFLARE_ACCESS_CLIENT_ID and CLOUDFLARE_ACCESS_CLIENT_SECRET.

They are asked at the same time. One that cannot be asked is reported, and hides
no other.

A version tells which secrets its configuration declares. "perhaps" marks what
somebody made by changing secrets (wrangler secret put) after a version that
carries this one. What was uploaded with other tools, or got an undeclared secret
by keep_secrets, tells nothing.

Tokens of api_token_sops are opened like this: ` + strings.ToLower(identityHelp[:1]) + identityHelp[1:] + `

Exit codes: 0 the list is complete; 1 it was tried and failed; 2 a plane could not
be asked, or wrong usage.`,
		Example: `  hybridge sops where db.password --file prod.enc.yaml
  hybridge sops where db.password --file prod.enc.yaml --planes planes.yaml --json
  git show HEAD~3:prod.enc.yaml | hybridge sops where db.password --file -
  hybridge sops where 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("name one KEY of a --file, or one DIGEST")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return sopsWhere(p, f, args[0]) },
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 || f.file == "" || f.file == "-" {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			file, err := sealed.Read(f.file, sealed.Format(f.format))
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return file.Keys(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.file, "file", "", "SOPS `FILE` that KEY is in; \"-\" for stdin")
	fs.StringVar(&f.format, "format", "", "yaml, json, dotenv, ini or binary (default by the name of FILE; of stdin by its text)")
	fs.StringVar(&f.planes, "planes", "", "`FILE` with planes")
	fs.BoolVar(&f.json, "json", false, "print the answers as JSON")
	f.identities.add(fs)
	_ = cmd.RegisterFlagCompletionFunc("format", completeFormats(readable...)) // fails for unknown flags only
	return cmd
}

func sopsWhere(p process, f sopsWhereFlags, what string) error {
	format, err := formatOf(f.format, readable...)
	if err != nil {
		return err
	}
	store, err := f.identities.store()
	if err != nil {
		return err
	}
	digest, err := wantedDigest(p.stdin, what, f.file, format)
	if err != nil {
		return err
	}
	planes, err := wantedPlanes(p, f.planes, store)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	ctx, stop := untilSignal()
	defer stop()
	answers := leak.Search(ctx, planes, digest, func(text string) { fmt.Fprintln(p.stderr, "hybridge:", text) })
	if f.json {
		err = printJSON(p.stdout, struct {
			Digest string        `json:"digest"`
			Planes []leak.Answer `json:"planes"`
		}{digest, answers})
	} else {
		printCarriers(p.stdout, digest, answers)
	}
	if err != nil {
		return err
	}
	for _, a := range answers {
		for _, problem := range a.Problems {
			fmt.Fprintf(p.stderr, "hybridge: plane %s: %s\n", a.Plane, problem)
			err = &exitError{exitUsage, errors.New("the list is not complete: ask again once these planes answer")}
		}
	}
	return err
}

var digestForm = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

// wantedDigest is the digest that is looked for.
func wantedDigest(stdin io.Reader, what, file string, format sealed.Format) (string, error) {
	if file == "" {
		if !digestForm.MatchString(what) {
			return "", usageError("%q is no digest of 64 hexadecimal digits; for a key path, name its file with --file", what)
		}
		return strings.ToLower(what), nil
	}
	key, err := sealed.ParsePath(what)
	if err != nil {
		return "", &exitError{exitUsage, err}
	}
	var f *sealed.File
	if file == "-" {
		text, readErr := io.ReadAll(io.LimitReader(stdin, 16<<20+1)) // Parse refuses more
		if readErr != nil {
			return "", fmt.Errorf("reading standard input: %w", readErr)
		}
		if format == "" {
			format = sealed.Sniff(string(text))
		}
		f, err = sealed.Parse("standard input", format, text)
	} else {
		f, err = sealed.Read(file, format)
	}
	if err != nil {
		return "", err
	}
	if err := f.Scalar(key); err != nil {
		return "", err
	}
	return f.Digest(key)
}

func wantedPlanes(p process, file string, store *sealed.Store) ([]leak.Plane, error) {
	userAgent := "hybridge/" + version
	if file != "" {
		return leak.ReadPlanes(file, store, p.getenv, userAgent)
	}
	plane, err := leak.Environment(p.getenv, userAgent)
	if errors.Is(err, leak.ErrNoPlane) {
		err = fmt.Errorf("%w, or name planes in a file with --planes", err)
	}
	return []leak.Plane{plane}, err
}

func printCarriers(w io.Writer, digest string, answers []leak.Answer) {
	var all, live []leak.Carrier
	workers := 0
	for _, a := range answers {
		workers += a.Workers
		for _, c := range a.Carriers {
			all = append(all, c)
			if c.Live > 0 {
				live = append(live, c)
			}
		}
	}
	fmt.Fprintf(w, "digest %s\n", digest)
	asked := fmt.Sprintf("%s with %s", counted(len(answers), "plane"), counted(workers, "Worker"))
	if len(all) == 0 {
		fmt.Fprintf(w, `no version says that it carries this secret (%s).
If the file was edited since, ask for the value that was deployed:
  git show REVISION:FILE | hybridge sops where KEY --file -
`, asked)
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PLANE\tWORKER\tVERSION\tNUMBER\tCREATED\tLIVE\tAUTHOR\tCARRIES IT")
	for _, c := range all {
		share, certain, author := "-", "yes", c.Author
		if c.Live > 0 {
			share = strconv.FormatFloat(c.Live, 'f', -1, 64) + "%"
		}
		if !c.Declared {
			certain = "perhaps"
		}
		if author == "" {
			author = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", c.Plane, c.Worker, c.VersionID, c.Number, c.CreatedOn.UTC().Format(time.RFC3339), share, author, certain)
	}
	_ = table.Flush()
	fmt.Fprintf(w, "\n%s (%s), of which %d live. What to do:\n", counted(len(all), "version"), asked, len(live))
	fmt.Fprintln(w, `  1. make a new value where it is used, beside the old one if that is possible
  2. put it into the file (sops edit, or hybridge sops pull), and terraform apply
  3. revoke the old value at its source: only now it is harmless
  4. delete what still carries it, or leave it and make sure that none is live:`)
	for _, c := range all {
		fmt.Fprintf(w, "     DELETE %s\n", c.Delete)
	}
	fmt.Fprintf(w, "Keep the digest: after step 2 the file has another one, and this asks again:\n  hybridge sops where %s\n", digest)
}
