import {
  to = hybridge_tunnel_hostname.app
  id = "0123456789abcdef0123456789abcdef/fedcba9876543210fedcba9876543210/00112233445566778899aabbccddeeff"
}
