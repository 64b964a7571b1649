// The declaration compiles where neither the browser's types nor Node's are there.

import { Replica, init } from "rejoin";

void init(new Uint8Array(8));
void Replica.open({ secret: "s" }).root();
