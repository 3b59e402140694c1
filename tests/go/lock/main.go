// Holds a lock for 10 ms after 100 goroutines have begun to wait for it, and writes Go's mutex profile of that to standard output. It
// says on standard error for how many nanoseconds the lock was held while all waited, and for how many since the first began to.
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

const waiters = 100

var lock sync.Mutex

//go:noinline
func givesTheLockBack() {
	lock.Unlock()
}

// How many goroutines wait for a lock.
func waiting() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return bytes.Count(stacks, []byte("[sync.Mutex.Lock"))
}

func main() {
	runtime.SetMutexProfileFraction(1)
	var all sync.WaitGroup
	lock.Lock()
	begun := time.Now()
	for range waiters {
		all.Add(1)
		go func() {
			defer all.Done()
			lock.Lock()
			lock.Unlock()
		}()
	}
	for waiting() < waiters {
		time.Sleep(time.Millisecond)
	}
	start := time.Now()
	time.Sleep(10 * time.Millisecond)
	held := time.Since(start)
	givesTheLockBack()
	fmt.Fprintln(os.Stderr, held.Nanoseconds(), time.Since(begun).Nanoseconds())
	all.Wait()
	if err := pprof.Lookup("mutex").WriteTo(os.Stdout, 0); err != nil {
		panic(err)
	}
}
