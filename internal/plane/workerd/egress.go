// SPDX-License-Identifier: MPL-2.0

package workerd

import (
	"fmt"
	"net/netip"
)

// specialRanges are ranges that workerd counts as public but that lead to the
// machine's own surroundings: benchmarking and documentation networks, a cloud
// provider's host agent, and IPv6 forms that embed an IPv4 address (NAT64, 6to4,
// Teredo), which reach private IPv4 addresses where a translator exists.
var specialRanges = []netip.Prefix{
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2001::/32"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// Egress says which addresses a Worker's fetch() and connect() may reach beside
// the public internet. The zero value allows public addresses only.
type Egress struct {
	allow []netip.Prefix
}

// ParseEgress reads the address ranges, in CIDR notation or single addresses,
// that Workers may reach beside the public internet.
func ParseEgress(ranges []string) (Egress, error) {
	var e Egress
	for _, r := range ranges {
		p, err := netip.ParsePrefix(r)
		if err != nil {
			a, addrErr := netip.ParseAddr(r)
			if addrErr != nil {
				return Egress{}, fmt.Errorf("reading egress range %q: not an address range; write it as in 10.1.0.0/16 or fd00::/8", r)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		e.allow = append(e.allow, p.Masked())
	}
	return e, nil
}

// rules are the allow and deny lists of workerd's network service. A special
// range that is inside an allowed one is not denied: the operator named it.
func (e Egress) rules() (allow, deny []string) {
	allow = []string{"public"}
	for _, a := range e.allow {
		allow = append(allow, a.String())
	}
	for _, d := range specialRanges {
		covered := false
		for _, a := range e.allow {
			if a.Bits() <= d.Bits() && a.Contains(d.Addr()) {
				covered = true
			}
		}
		if !covered {
			deny = append(deny, d.String())
		}
	}
	return allow, deny
}
