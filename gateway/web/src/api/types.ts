// The contract's messages in their JSON form; 64-bit integers travel as strings.

export interface Money {
  currencyCode: string;
  units?: string;
  nanos?: number;
}

export interface Stock {
  onHand: string;
  available: string;
  held: string;
  sold: string;
}

export interface Product {
  name: string;
  displayName: string;
  description: string;
  unitPrice: Money;
  stock?: Stock;
}

export interface ProductPage {
  products: Product[];
  nextPageToken: string;
}

export type OrderState = "PENDING" | "CONFIRMED" | "REJECTED" | "CANCELLED" | "FULFILLED";

export interface OrderLine {
  product: string;
  quantity: number;
  unitPrice?: Money;
}

export interface Order {
  name: string;
  customer: string;
  lines: OrderLine[];
  state: OrderState;
  stateReason: string;
  total?: Money;
  version: string;
  etag: string;
  createTime: string;
  updateTime: string;
}

export interface OrderPage {
  orders: Order[];
  nextPageToken: string;
}

export interface Violation {
  type: string;
  subject: string;
  description: string;
}

export interface StatusDetail {
  "@type": string;
  reason?: string;
  metadata?: Record<string, string>;
  violations?: Violation[];
  fieldViolations?: { field: string; description: string }[];
  retryDelay?: string;
}

export interface Status {
  code: number;
  message: string;
  details?: StatusDetail[];
}

export interface WatchEvent {
  order?: Order;
  heartbeat?: object;
  end?: { status?: Status };
}

export const FINAL: ReadonlySet<OrderState> = new Set(["REJECTED", "CANCELLED", "FULFILLED"]);
