// SPDX-License-Identifier: MPL-2.0

// Package agentfile is the format of agent.yaml: what `hybridge agent` does, as
// a value. It reads and checks; it starts nothing and opens no secret.
package agentfile

import "time"

// Format is the only format there is.
const Format = 1

// The defaults of a File, and why.
const (
	DefaultDataDir = "/var/lib/hybridge"
	DefaultHealth  = "unix:///run/hybridge/health.sock"
	// DefaultCertificateExpiry is two weeks: a renewal that failed can be repeated
	// for a while by whoever is told.
	DefaultCertificateExpiry = Duration(14 * 24 * time.Hour)
	DefaultDiskFree          = Percent(10)
	// DefaultAgeIdentity is where hybridge agent enroll puts it.
	DefaultAgeIdentity = "/etc/hybridge/age-identity"
	// DefaultRefresh costs five of Cloudflare's 1200 requests per five minutes.
	DefaultRefresh = Duration(time.Minute)
)

// File is agent.yaml. Unknown keys are refused.
type File struct {
	Format     int                  `yaml:"format" json:"format" jsonschema:"enum=1" jsonschema_description:"Version of this format."`
	Region     string               `yaml:"region,omitempty" json:"region,omitempty" jsonschema_description:"Region of this machine; must be what the planes in Terraform say."`
	DataDir    string               `yaml:"data_dir,omitempty" json:"data_dir,omitempty" jsonschema_description:"Directory of everything that the agent keeps. Default /var/lib/hybridge. Restart to change."`
	Plane      *Plane               `yaml:"plane,omitempty" json:"plane,omitempty" jsonschema_description:"The self-hosted plane; without it the machine is only a connector."`
	Ingress    *Ingress             `yaml:"ingress,omitempty" json:"ingress,omitempty" jsonschema_description:"Where Workers answer."`
	Connectors map[string]Connector `yaml:"connectors,omitempty" json:"connectors,omitempty" jsonschema_description:"Tunnel connectors by name; each runs cloudflared."`
	Health     Health               `yaml:"health,omitempty" json:"health,omitempty" jsonschema_description:"The health endpoint."`
	Alerts     Alerts               `yaml:"alerts,omitempty" json:"alerts,omitempty" jsonschema_description:"Who is told, and from when on."`
	Log        Log                  `yaml:"log,omitempty" json:"log,omitempty" jsonschema_description:"The log, on stderr."`
}

// Plane is the self-hosted plane.
type Plane struct {
	API              API      `yaml:"api" json:"api" jsonschema_description:"Where the API of the plane listens. Restart to change."`
	Workerd          string   `yaml:"workerd,omitempty" json:"workerd,omitempty" jsonschema_description:"Path of the workerd binary. Default: HYBRIDGE_WORKERD or PATH. Restart to change."`
	AllowEgress      []string `yaml:"allow_egress,omitempty" json:"allow_egress,omitempty" jsonschema_description:"Private or loopback CIDR ranges that Workers may reach. Restart to change."`
	InitialTokenFile string   `yaml:"initial_token_file,omitempty" json:"initial_token_file,omitempty" jsonschema_description:"Where the first admin token is written, mode 0600. Restart to change."`
}

// API is the listener of the plane's API.
type API struct {
	Listen      string `yaml:"listen" json:"listen" jsonschema_description:"host:port or unix:///path."`
	AllowPublic bool   `yaml:"allow_public,omitempty" json:"allow_public,omitempty" jsonschema_description:"Admit an address that other machines can reach; needs tls."`
	TLS         *Pair  `yaml:"tls,omitempty" json:"tls,omitempty" jsonschema_description:"Certificate of the API; read again when its files change."`
}

// Pair is a certificate with its key, in PEM files.
type Pair struct {
	CertFile string `yaml:"cert_file" json:"cert_file" jsonschema_description:"PEM file of the certificate and its chain."`
	KeyFile  string `yaml:"key_file" json:"key_file" jsonschema_description:"PEM file of its private key."`
}

// Ingress is where Workers answer.
type Ingress struct {
	Listen       []Listener      `yaml:"listen" json:"listen" jsonschema:"minItems=1" jsonschema_description:"Addresses; plain HTTP on loopback only. Restart to change."`
	Certificates []Pair          `yaml:"certificates,omitempty" json:"certificates,omitempty" jsonschema_description:"Certificates for the listeners with tls; read again when their files change."`
	Zones        map[string]Zone `yaml:"zones,omitempty" json:"zones,omitempty" jsonschema_description:"Zones by name."`
}

// Listener is one address of the ingress.
type Listener struct {
	Address string `yaml:"address" json:"address" jsonschema_description:"host:port."`
	TLS     bool   `yaml:"tls,omitempty" json:"tls,omitempty" jsonschema_description:"Serve HTTPS and HTTP/2 with ingress.certificates."`
}

// Zone holds host names of one domain.
type Zone struct {
	Hostnames map[string]Hostname `yaml:"hostnames" json:"hostnames" jsonschema_description:"Host names below the zone."`
}

// Hostname says what answers at a host name.
type Hostname struct {
	Worker string `yaml:"worker" json:"worker" jsonschema_description:"Name of the Worker that answers."`
}

// Connector is a supervised cloudflared.
type Connector struct {
	TunnelID    string `yaml:"tunnel_id" json:"tunnel_id" jsonschema:"format=uuid" jsonschema_description:"Tunnel that the token must be of."`
	Cloudflared string `yaml:"cloudflared,omitempty" json:"cloudflared,omitempty" jsonschema_description:"Path of cloudflared. Default: PATH."`
	Metrics     string `yaml:"metrics,omitempty" json:"metrics,omitempty" jsonschema_description:"Loopback host:port of cloudflared's metrics; after a rotation a free one, which hybridge status names. Default: a free port."`

	// Where the tunnel's token comes from: one of these. Another token there rotates without downtime.
	TokenFile    string        `yaml:"token_file,omitempty" json:"token_file,omitempty" jsonschema_description:"File with the tunnel's token. A change rotates without downtime."`
	TokenSOPS    *SOPSValue    `yaml:"token_sops,omitempty" json:"token_sops,omitempty" jsonschema_description:"Value of a SOPS file with the tunnel's token. A change rotates without downtime."`
	TokenFromAPI *TokenFromAPI `yaml:"token_from_api,omitempty" json:"token_from_api,omitempty" jsonschema_description:"Ask the API that made the tunnel for its token, so that nothing else has to know it. A rotation there rotates here without downtime."`
}

// SOPSValue is a value of a SOPS file.
type SOPSValue struct {
	File            string `yaml:"file" json:"file" jsonschema_description:"Path of the encrypted file."`
	Key             string `yaml:"key" json:"key" jsonschema_description:"Path of the value in it, e.g. tunnel.token."`
	AgeIdentityFile string `yaml:"age_identity_file,omitempty" json:"age_identity_file,omitempty" jsonschema_description:"The machine's age identity, which hybridge agent enroll makes. Default /etc/hybridge/age-identity."`
}

// TokenFromAPI says how to ask for a tunnel's token.
type TokenFromAPI struct {
	AccountID    string     `yaml:"account_id" json:"account_id" jsonschema:"pattern=^[0-9a-f]{32}$" jsonschema_description:"Account of the tunnel."`
	APITokenFile string     `yaml:"api_token_file,omitempty" json:"api_token_file,omitempty" jsonschema_description:"File with an API token that may write this account's tunnels."`
	APITokenSOPS *SOPSValue `yaml:"api_token_sops,omitempty" json:"api_token_sops,omitempty" jsonschema_description:"Value of a SOPS file with that API token."`
	BaseURL      string     `yaml:"base_url,omitempty" json:"base_url,omitempty" jsonschema_description:"API of the plane that has the tunnel. Default Cloudflare's."`
	Refresh      Duration   `yaml:"refresh,omitempty" json:"refresh,omitempty" jsonschema_description:"How often to ask, and so how soon a rotation is noticed. Default 1m, at least 1s."`
}

// Health is the health endpoint.
type Health struct {
	Listen    string `yaml:"listen,omitempty" json:"listen,omitempty" jsonschema_description:"unix:///path or a loopback host:port. Default unix:///run/hybridge/health.sock. Restart to change."`
	TokenFile string `yaml:"token_file,omitempty" json:"token_file,omitempty" jsonschema_description:"File with the bearer token of readers; needed on TCP."`
}

// Alerts says who is told, and from when on.
type Alerts struct {
	Webhooks          []Webhook `yaml:"webhooks,omitempty" json:"webhooks,omitempty" jsonschema_description:"Receivers of signed events. Restart to change."`
	CertificateExpiry Duration  `yaml:"certificate_expiry,omitempty" json:"certificate_expiry,omitempty" jsonschema_description:"How long before its end a certificate is a problem. Default 336h."`
	DiskFree          Percent   `yaml:"disk_free,omitempty" json:"disk_free,omitempty" jsonschema_description:"Free share of the data directory's file system below which it is a problem. Default 10%."`
}

// Webhook is a receiver of events.
type Webhook struct {
	URL        string `yaml:"url" json:"url" jsonschema_description:"https URL, or an http one of this machine."`
	SecretFile string `yaml:"secret_file" json:"secret_file" jsonschema_description:"File with the key of the signatures."`
}

// Log is the log.
type Log struct {
	Level  string `yaml:"level,omitempty" json:"level,omitempty" jsonschema:"enum=trace,enum=debug,enum=info,enum=warn,enum=error,enum=off" jsonschema_description:"Default info."`
	Format string `yaml:"format,omitempty" json:"format,omitempty" jsonschema:"enum=text,enum=json" jsonschema_description:"Default json. Restart to change."`
}

func (f *File) defaults() {
	setDefault(&f.DataDir, DefaultDataDir)
	setDefault(&f.Health.Listen, DefaultHealth)
	setDefault(&f.Alerts.CertificateExpiry, DefaultCertificateExpiry)
	setDefault(&f.Alerts.DiskFree, DefaultDiskFree)
	setDefault(&f.Log.Level, "info")
	setDefault(&f.Log.Format, "json")
	for _, c := range f.Connectors {
		for _, s := range c.sops() {
			setDefault(&s.AgeIdentityFile, DefaultAgeIdentity)
		}
		if c.TokenFromAPI != nil {
			setDefault(&c.TokenFromAPI.Refresh, DefaultRefresh)
		}
	}
}

// SecretFiles are the files with secrets that a connector needs.
func (c Connector) SecretFiles() (paths []string) {
	if c.TokenFile != "" {
		paths = append(paths, c.TokenFile)
	}
	if c.TokenFromAPI != nil && c.TokenFromAPI.APITokenFile != "" {
		paths = append(paths, c.TokenFromAPI.APITokenFile)
	}
	for _, s := range c.sops() {
		paths = append(paths, s.AgeIdentityFile)
	}
	return paths
}

// sops are the SOPS values that a connector names.
func (c Connector) sops() (out []*SOPSValue) {
	if c.TokenSOPS != nil {
		out = append(out, c.TokenSOPS)
	}
	if c.TokenFromAPI != nil && c.TokenFromAPI.APITokenSOPS != nil {
		out = append(out, c.TokenFromAPI.APITokenSOPS)
	}
	return out
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
