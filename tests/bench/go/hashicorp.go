// The same with HashiCorp's own package, as Debian's golang-github-hashicorp-consul-dev brings it.
package main

import (
	"net/http"

	"github.com/hashicorp/consul/api"
)

func init() {
	open = func(address, key, value string, over *http.Client) client {
		c, err := api.NewClient(&api.Config{Address: address, HttpClient: over})
		check(err)
		pair := &api.KVPair{Key: key, Value: []byte(value)}
		return client{
			name: "HashiCorp's",
			get: func() error {
				_, _, err := c.KV().Get(key, nil)
				return err
			},
			put: func() error {
				_, err := c.KV().Put(pair, nil)
				return err
			},
		}
	}
}
