/**
 * Facial-expression analytics in any page, on the visitor's own device.
 *
 * @module
 */

export * from "./sdk.js";
export { MienLearner, defineMienLearner } from "./element.js";
