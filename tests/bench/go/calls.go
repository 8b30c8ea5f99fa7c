// What the same calls cost in Go: `calls URL KEY VALUE CONNECTIONS`.
//
// It first says with what it calls. Then each line that it reads is a burst, like "get 16 0.2": the
// operation, how many at once, for how many seconds. It answers with the seconds of CPU and of time
// that one call took.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type operation func() error

type client struct {
	name     string
	get, put operation
}

// One of HashiCorp's takes its place where their package is there.
var open = plain

func main() {
	connections, err := strconv.Atoi(os.Args[4])
	check(err)
	// As the others have it: kept connections for every call, and unpacked answers.
	transport := &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}
	c := open(os.Args[1], os.Args[2], os.Args[3], &http.Client{Transport: transport})
	operations := map[string]operation{"get": c.get, "put": c.put}
	fmt.Println(c.name)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var name string
		var level int
		var seconds float64
		_, err := fmt.Sscan(lines.Text(), &name, &level, &seconds)
		check(err)
		cpu, wall := burst(operations[name], level, time.Duration(seconds*float64(time.Second)))
		fmt.Println(cpu, wall)
	}
}

func burst(call operation, level int, length time.Duration) (float64, float64) {
	var done int64
	var callers sync.WaitGroup
	used, started := cpu(), time.Now()
	for i := 0; i < level; i++ {
		callers.Add(1)
		go func() {
			defer callers.Done()
			for again := true; again; again = time.Since(started) < length {
				check(call())
				atomic.AddInt64(&done, 1)
			}
		}()
	}
	callers.Wait()
	used = cpu() - used
	return used / float64(done), time.Since(started).Seconds() / float64(done)
}

func cpu() float64 {
	var used syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

func plain(address, key, value string, over *http.Client) client {
	url := address + "/v1/kv/" + key
	say := func(method string, body io.Reader, into interface{}) error {
		request, err := http.NewRequest(method, url, body)
		if err != nil {
			return err
		}
		response, err := over.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		return json.Unmarshal(content, into)
	}
	return client{
		name: "net/http",
		get: func() error {
			var pairs []struct{ Value string }
			if err := say("GET", nil, &pairs); err != nil {
				return err
			}
			_, err := base64.StdEncoding.DecodeString(pairs[0].Value)
			return err
		},
		put: func() error {
			var written bool
			return say("PUT", strings.NewReader(value), &written)
		},
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
