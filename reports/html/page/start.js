// Last: everything has announced itself, the link can be followed.
"use strict";

shardwise.start();
