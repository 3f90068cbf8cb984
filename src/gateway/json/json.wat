;; Walks over a JSON text of bytes, and refuses what JSON.parse refuses, without building anything of it. Here and not in
;; JavaScript for the sake of SIMD: prompts are long, and JavaScript takes them byte by byte.
;; What runs is json-wasm.ts, which `npm run wasm` makes of this, scalars.wat and strings.wat: together they are one module.
;; json.ts is its other half.
;;
;; The memory holds a window of the body, which slides forwards. An address in it is called $at. Each function takes the one
;; where something begins and returns the one after its end, which lies elsewhere when the window has slid meanwhile: only
;; indices into the body ($origin + $at) may be kept across calls.

;; Copies the body from an index on to the start of the window, as much as the window takes. Returns how many bytes.
(import "body" "load" (func $load (param $from i32) (result i32)))
;; Tells of a member of the outermost object: where key and value begin and end, quotes included.
(import "body" "member" (func $member (param $key i32) (param $keyEnd i32) (param $value i32) (param $valueEnd i32)))
;; Throws. First what is wrong (as below), then where.
(import "body" "refuse" (func $refuse (param $fault i32) (param $index i32)))
(global $NOT_JSON i32 (i32.const 0))
(global $TOO_DEEP i32 (i32.const 1))
(global $NOT_AN_OBJECT i32 (i32.const 2))

;; Its layout: 16 bytes for what stood just before the window, then the window, then zeros where the body ends in it.
;; Zero is no JSON, so it ends everything that knows nothing of lengths.
(memory (export "memory") 1)
(global $START i32 (i32.const 16))

(global $length (mut i32) (i32.const 0))
(global $maxDepth (mut i32) (i32.const 0))
;; Index into the body of the address 0.
(global $origin (mut i32) (i32.const 0))
;; Highest address from which 64 bytes may be read; all are good when the end of the body is in the window.
(global $limit (mut i32) (i32.const 0))
;; Not zero once a string held a byte beyond ASCII.
(global $high (mut i32) (i32.const 0))

;; Walks over a body that must be an object. Returns whether any byte is beyond ASCII: whether it is UTF-8 is not looked at.
(func (export "walk") (param $length i32) (param $maxDepth i32) (result i32)
  (local $at i32) (local $key i32) (local $keyEnd i32) (local $value i32)
  (global.set $length (local.get $length))
  (global.set $maxDepth (local.get $maxDepth))
  (global.set $high (i32.const 0))
  (global.set $origin (i32.sub (i32.const 0) (global.get $START)))
  (local.set $at (call $space (call $slide (global.get $START))))
  (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x7b)) ;; {
    (then (call $refuseAt (global.get $NOT_AN_OBJECT) (local.get $at))))
  (local.set $at (call $space (i32.add (local.get $at) (i32.const 1))))
  (block $closed
    (br_if $closed (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x7d))) ;; }
    (loop $next
      (local.set $key (call $index (local.get $at)))
      (local.set $at (call $quoted (local.get $at)))
      (local.set $keyEnd (call $index (local.get $at)))
      (local.set $at (call $token (i32.const 0x3a) (call $space (local.get $at)))) ;; :
      (local.set $value (call $index (local.get $at)))
      (local.set $at (call $value (local.get $at)))
      (call $member
        (local.get $key) (local.get $keyEnd) (local.get $value) (call $index (local.get $at)))
      (local.set $at (call $space (local.get $at)))
      (br_if $closed (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x2c))) ;; ,
      (local.set $at (call $space (i32.add (local.get $at) (i32.const 1))))
      (br $next)))
  (local.set $at (call $token (i32.const 0x7d) (local.get $at))) ;; }
  (if (i32.ne (call $index (local.get $at)) (local.get $length))
    (then (call $refuseAt (global.get $NOT_JSON) (local.get $at))))
  (global.get $high))

;; ---- The window ----

(func $index (param $at i32) (result i32)
  (i32.add (global.get $origin) (local.get $at)))

;; Sees to it that 64 bytes can be read. Whatever may be long asks for it again and again.
(func $near (param $at i32) (result i32)
  (if (result i32) (i32.gt_u (local.get $at) (global.get $limit))
    (then (call $slide (local.get $at)))
    (else (local.get $at))))

(func $slide (param $at i32) (result i32)
  (local $from i32) (local $end i32)
  (local.set $from (call $index (local.get $at)))
  (i64.store (i32.const 8) (i64.load (i32.sub (local.get $at) (i32.const 8))))
  (local.set $end (i32.add (global.get $START) (call $load (local.get $from))))
  (global.set $origin (i32.sub (local.get $from) (global.get $START)))
  (global.set $limit (i32.sub (local.get $end) (i32.const 64)))
  (if (i32.eq (call $index (local.get $end)) (global.get $length)) (then
    (global.set $limit (i32.const -1))
    (memory.fill (local.get $end) (i32.const 0) (i32.const 128))))
  (global.get $START))

(func $refuseAt (param $fault i32) (param $at i32)
  (call $refuse (local.get $fault) (call $index (local.get $at)))
  (unreachable))

;; ---- Structure ----

;; Any value that is a member of the outermost object, in one loop: it never recurses.
(func $value (param $at i32) (result i32)
  (local $byte i32)
  ;; The bracket that the innermost value is to be closed with; whether it is an array of nothing but token ids so far.
  (local $closing i32) (local $mayBeIds i32) (local $before i32)
  ;; The brackets that are open: how many, and one bit for each, the innermost lowest: whether it is a brace.
  (local $depth i32) (local $braces i64)
  (loop $enter
    (if (local.get $mayBeIds) (then
      (local.set $before (call $index (local.get $at)))
      (local.set $at (call $tokenIds (local.get $at)))
      (local.set $mayBeIds (i32.ne (local.get $before) (call $index (local.get $at))))))
    (local.set $byte (i32.load8_u (local.get $at)))
    (block $entered
      ;; { and [ and no other bytes that begin a value are 0x7b and 0x5b.
      (if (i32.eq (i32.or (local.get $byte) (i32.const 0x20)) (i32.const 0x7b)) (then
        (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
        (if (i32.ge_u (local.get $depth) (global.get $maxDepth))
          (then (call $refuseAt (global.get $TOO_DEEP) (local.get $at))))
        (local.set $braces (i64.or
          (i64.shl (local.get $braces) (i64.const 1))
          (i64.extend_i32_u (i32.eq (local.get $byte) (i32.const 0x7b)))))
        (local.set $closing (i32.add (local.get $byte) (i32.const 2)))
        (local.set $mayBeIds (i32.eq (local.get $closing) (i32.const 0x5d))) ;; ]
        (local.set $at (call $space (i32.add (local.get $at) (i32.const 1))))
        (br_if $entered (i32.eq (i32.load8_u (local.get $at)) (local.get $closing)))
        (if (i32.eq (local.get $closing) (i32.const 0x7d)) ;; }
          (then (local.set $at (call $key (local.get $at)))))
        (br $enter)))
      (local.set $at (call $scalar (local.get $at))))
    (loop $leave
      (if (i32.eqz (local.get $depth)) (then (return (local.get $at))))
      (local.set $at (call $space (local.get $at)))
      (local.set $byte (i32.load8_u (local.get $at)))
      (if (i32.eq (local.get $byte) (local.get $closing)) (then
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
        (local.set $braces (i64.shr_u (local.get $braces) (i64.const 1)))
        (local.set $mayBeIds (i32.const 0))
        (local.set $closing (select (i32.const 0x7d) (i32.const 0x5d)
          (i32.wrap_i64 (i64.and (local.get $braces) (i64.const 1)))))
        (br $leave))))
    (local.set $at (call $token (i32.const 0x2c) (local.get $at))) ;; ,
    (if (i32.eq (local.get $closing) (i32.const 0x7d)) ;; }
      (then (local.set $at (call $key (local.get $at)))))
    (br $enter))
  (unreachable))

;; A key, the colon, and the space around it.
(func $key (param $at i32) (result i32)
  (call $token (i32.const 0x3a) (call $space (call $quoted (local.get $at)))))

;; One byte that must be there, and the space after it.
(func $token (param $byte i32) (param $at i32) (result i32)
  (if (i32.ne (i32.load8_u (local.get $at)) (local.get $byte))
    (then (call $refuseAt (global.get $NOT_JSON) (local.get $at))))
  (call $space (i32.add (local.get $at) (i32.const 1))))

;; Goes over white space, none mostly. All that is no string begins behind a call of it, with 64 bytes to be read.
(func $space (param $at i32) (result i32)
  (local $bytes v128) (local $others i32)
  (loop $block
    (local.set $at (call $near (local.get $at)))
    (if (i32.gt_u (i32.load8_u (local.get $at)) (i32.const 0x20)) (then (return (local.get $at))))
    (local.set $bytes (v128.load (local.get $at)))
    (local.set $others (i32.xor (i32.const 0xffff) (i8x16.bitmask (v128.or
      (v128.or
        (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x20)))
        (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x0a))))
      (v128.or
        (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x0d)))
        (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x09))))))))
    (if (local.get $others) (then (return (i32.add (local.get $at) (i32.ctz (local.get $others))))))
    (local.set $at (i32.add (local.get $at) (i32.const 16)))
    (br $block))
  (unreachable))
