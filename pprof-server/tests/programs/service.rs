//! A program for `other_builds`: a service whose handler leaks. The handler is inlined into the generic function that
//! calls it, as handlers are in web frameworks. It tells where it serves, and waits for the end of its standard input.

use std::sync::Mutex;

type App = Mutex<Vec<Vec<u8>>>;

trait Handler {
    fn call(&self, app: &App);
}

impl<F: Fn(&App)> Handler for F {
    #[inline(never)]
    fn call(&self, app: &App) {
        self(app);
    }
}

fn hit(app: &App) {
    app.lock().unwrap().push(vec![1; 1 << 20]);
}

fn serve(handler: &impl Handler, app: &App) {
    for _ in 0..20 {
        handler.call(app);
    }
}

fn main() {
    let address = pprof_server::install!("127.0.0.1:0").expect("it serves");
    let app = App::default();
    serve(&hit, &app);
    println!("served at {address}");
    std::io::read_to_string(std::io::stdin()).unwrap();
}
