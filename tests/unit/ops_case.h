/* ops_case.h: one-node graphs written as text, run through inference, lowering and the interpreter
 *
 *     case NAME
 *     op Conv 13                      operator and opset
 *     int group 1                     attributes: int, ints, float, floats, string
 *     input f32 1x3x8x8 v v v ...     in row-major order; "const" for an initializer; "input -" for one left out
 *     output f32 1x4x6x6 v v v ...    what is expected; "output -" for one nobody wants
 *     tol 1e-5                        |got - expected| <= tol * max(1, |expected|); without it: equal
 *     fails TEXT                      instead of outputs' values: inference refuses, and the message has TEXT
 *     end
 */
#pragma once

/* Runs the case that starts at *text and moves *text behind it. NULL when it passed; else what went wrong (caller frees). */
char *ops_case_run(const char **text);
/* Runs all and asserts that each passed and that there are `expected` of them. */
void ops_cases_check(const char *text, int expected);
