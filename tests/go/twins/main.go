// Goroutines that are the twins of the tasks in tests/tasks-corpus/src/bin/leaks: of each kind that Go has too, under the same name.
// It prints the name of each that Go's own profile goroutineleak lists, with how many there are. scripts/check-twins.sh compares.
package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"regexp"
	"runtime/pprof"
	"sort"
	"sync"
	"time"
)

const each = 6

func leaked_self_held() {
	ticks := make(chan int, 1)
	<-ticks
}

type service struct{ ticks chan int }

func leaked_by_struct(of *service) {
	<-of.ticks
}

func leaked_in_pairs(own, other chan int) {
	<-own
	other <- 1
}

func leaked_in_ring(own, next chan int) {
	for number := range own {
		next <- number
	}
}

func leaked_by_forgotten_permits(permits chan struct{}) {
	<-permits
	<-permits
}

func leaked_by_second_lock(lock *sync.Mutex) {
	lock.Lock()
	lock.Lock()
}

func leaked_by_second_write(lock *sync.RWMutex) {
	lock.RLock()
	lock.Lock()
}

func leaked_in_own_map() {
	waiting := map[uint64]chan int{7: make(chan int)}
	<-waiting[7]
}

func leaked_in_select() {
	ticks, done := make(chan int), make(chan int)
	select {
	case <-ticks:
	case <-done:
	}
}

func leaked_in_join() {
	var both sync.WaitGroup
	both.Add(2)
	both.Wait()
}

func leaked_by_notify(condition *sync.Cond) {
	condition.L.Lock()
	condition.Wait()
}

func leaked_at_barrier(barrier *sync.WaitGroup) {
	barrier.Wait()
}

func leaked_child(own chan int) {
	<-own
}

func leaked_parent(ended, child chan int) {
	<-ended
	child <- 1
}

func leaked_when_full() {
	ticks := make(chan int, 1)
	ticks <- 1
	ticks <- 2
}

func leaked_for_nothing() {
	select {}
}

func alive_in_static(ticks chan int)        { <-ticks }
func alive_in_map(answer chan int)          { <-answer }
func alive_in_sleeping_task(ticks chan int) { <-ticks }
func alive_in_task_at_socket(ticks chan int) {
	<-ticks
}
func alive_on_stack(ticks chan int)         { <-ticks }
func alive_in_running_task(ticks chan int)  { <-ticks }
func alive_by_semaphore(permits chan int)   { <-permits }
func alive_by_chain(ticks chan int)         { <-ticks }
func alive_by_static_notify() {
	notify.L.Lock()
	notify.Wait()
}

func alive_with_timer() {
	ticks := make(chan int)
	select {
	case <-ticks:
	case <-time.After(24 * time.Hour):
	}
}

func alive_with_limit() {
	ticks := make(chan int)
	limit, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
	defer cancel()
	select {
	case <-ticks:
	case <-limit.Done():
	}
}

func alive_at_socket(listener net.Listener) {
	connection, err := listener.Accept()
	fmt.Fprintln(os.Stderr, connection, err)
}

var (
	senders   []chan int
	answers   = map[uint64]chan int{}
	semaphore = make(chan int)
	notify    = sync.NewCond(&sync.Mutex{})
)

//go:noinline
func keep(values ...any) {
	for _, value := range values {
		if value == nil {
			fmt.Println("it is kept")
		}
	}
}

func sleeps_with(ticks chan int) {
	time.Sleep(24 * time.Hour)
	keep(ticks)
}

func waits_with(ticks, own chan int) {
	<-own
	keep(ticks)
}

func accepts_with(listener net.Listener, ticks chan int) {
	_, err := listener.Accept()
	keep(ticks, err)
}

func runs_with(ticks chan int) {
	for {
		time.Sleep(time.Millisecond)
		keep(ticks)
	}
}

func plantLeaked() {
	for i := 0; i < each; i++ {
		go leaked_self_held()
		go leaked_by_struct(&service{make(chan int)})
		a, b := make(chan int), make(chan int)
		go leaked_in_pairs(a, b)
		go leaked_in_pairs(b, a)
		a, b, c := make(chan int), make(chan int), make(chan int)
		go leaked_in_ring(a, b)
		go leaked_in_ring(b, c)
		go leaked_in_ring(c, a)
		permits := make(chan struct{}, 1)
		permits <- struct{}{}
		go leaked_by_forgotten_permits(permits)
		go leaked_by_second_lock(&sync.Mutex{})
		go leaked_by_second_write(&sync.RWMutex{})
		go leaked_in_own_map()
		go leaked_in_select()
		go leaked_in_join()
		go leaked_by_notify(sync.NewCond(&sync.Mutex{}))
		barrier := &sync.WaitGroup{}
		barrier.Add(3)
		go leaked_at_barrier(barrier)
		go leaked_at_barrier(barrier)
		child, ended := make(chan int), make(chan int)
		go leaked_child(child)
		go leaked_parent(ended, child)
		go leaked_when_full()
		go leaked_for_nothing()
	}
}

func plantAlive(local []chan int) []chan int {
	for i := 0; i < each; i++ {
		with := func(task func(chan int)) chan int {
			ticks := make(chan int)
			go task(ticks)
			return ticks
		}
		listen := func() net.Listener {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				panic(err)
			}
			return listener
		}
		senders = append(senders, with(alive_in_static))
		answers[uint64(i)] = with(alive_in_map)
		go sleeps_with(with(alive_in_sleeping_task))
		go accepts_with(listen(), with(alive_in_task_at_socket))
		local = append(local, with(alive_on_stack))
		go runs_with(with(alive_in_running_task))
		go alive_by_semaphore(semaphore)
		first := make(chan int)
		senders = append(senders, first)
		go waits_with(with(alive_by_chain), first)
		go alive_by_static_notify()
		go alive_with_timer()
		go alive_with_limit()
		go alive_at_socket(listen())
	}
	return local
}

func main() {
	plantLeaked()
	local := plantAlive(nil)
	time.Sleep(time.Second)
	profile := pprof.Lookup("goroutineleak")
	if profile == nil {
		fmt.Fprintln(os.Stderr, "this Go has no goroutineleak profile")
		os.Exit(1)
	}
	var text bytes.Buffer
	// The first collection may find some of them, and the next the rest.
	for i := 0; i < 2; i++ {
		text.Reset()
		if err := profile.WriteTo(&text, 2); err != nil {
			panic(err)
		}
	}
	counts := map[string]int{}
	leaked := regexp.MustCompile(`(?m)^goroutine \d+ [^\n]*\(leaked\)[^\n]*\n(?:[^\n]+\n)*`)
	name := regexp.MustCompile(`main\.((?:leaked|alive)_\w+)`)
	for _, one := range leaked.FindAllString(text.String(), -1) {
		if found := name.FindStringSubmatch(one); found != nil {
			counts[found[1]]++
		}
	}
	names := []string{}
	for name := range counts {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Println(name, counts[name])
	}
	keep(local)
}
